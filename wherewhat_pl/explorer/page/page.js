// Keys, and light or dark.

const typing = (target) => target.matches("input:not([type=range]):not([type=checkbox])") || document.querySelector("dialog[open]");

/** Keys do what the buttons do; `page` says which latent is meant. */
export function listenToKeys(act, page) {
  const latent = (does) => () => page.current() !== null && does(page.current());
  const keys = {
    r: act.random, 0: act.reset, m: act.mask, s: act.smooth, t: act.two, u: () => page.two() && act.under(), p: act.picture, c: act.code,
    a: () => act.choose("a"), b: () => act.choose("b"),
    l: latent(act.lock), n: latent(act.edit), Delete: latent((k) => act.set(k, 0)), Backspace: latent((k) => act.set(k, 0)),
    x: latent((k) => page.two() && act.take(k, !page.taken(k))),
    j: () => step(1), k: () => step(-1), "?": page.help,
  };
  function step(by) {
    const all = [...page.rows.values()];
    const focused = document.activeElement?.closest(".row");
    const at = focused ? all.findIndex((row) => row.element === focused) : [...page.rows.keys()].indexOf(page.current());
    all[Math.min(all.length - 1, Math.max(0, at + by))].slider.focus();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const does = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
}

/** A button that goes through: as the system, light, dark. */
export function switchTheme(button) {
  const themes = ["auto", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("wherewhat/theme"); } catch { return null; } };
  let theme = themes.includes(stored()) ? stored() : "auto";
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button.querySelector("span").textContent = theme;
    button.setAttribute("aria-label", `Colours: ${theme === "auto" ? "as the system" : theme}`);
  };
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("wherewhat/theme", theme); } catch { /* a browser that keeps nothing */ }
    show();
  });
  show();
}
