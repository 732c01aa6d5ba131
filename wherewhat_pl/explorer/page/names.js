// What latents are called: kept in the run's latents.yaml where the server can write one, else by this browser, which
// keeps no more than what was given here: a newer export of the same weights may name other latents.

export class Names {
  constructor(meta) {
    this.own = meta.latents;
    this.file = meta.names_in;
    this.key = `wherewhat/${meta.key}/latents`;
    this.given = this.file ? {} : this.#recall(); // position -> latent
    this.#layOver();
  }

  /** Name a latent; resolves to a sentence that says where it is kept, rejects with one where that cannot be. */
  async give(position, latent) {
    const [low, high] = latent.range;
    const name = latent.name.trim() || `latent ${position}`;
    if (!(low < high && low >= -100 && high <= 100)) throw new Error("The range must be two rising numbers.");
    if (/^\d+$/.test(name)) throw new Error("A number would be taken for a position.");
    if (this.all.some((each, k) => k !== position && each.name === name)) throw new Error(`Another latent is called “${name}”.`);
    if (this.file) {
      const response = await fetch("latents", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ position, ...latent, name }),
      });
      if (!response.ok) throw new Error(await response.text());
      this.all = (await response.json()).latents;
      return `Saved in ${this.file}`;
    }
    this.given[position] = { ...latent, name };
    this.#layOver();
    try {
      localStorage.setItem(this.key, JSON.stringify(this.given));
      return "Kept in this browser.";
    } catch {
      return "Kept until this page is left: the browser stores nothing. “Save names” saves them.";
    }
  }

  /** The text of latents.yaml; what JSON writes is YAML, too. */
  yaml() {
    const rows = this.all.map((latent, k) => [k, latent]).filter(([k, latent]) => !isPlain(k, latent));
    return rows.map(([k, { name, sign, range }]) => `${k}: {name: ${JSON.stringify(name)}, sign: ${sign}, range: [${range.join(", ")}]}\n`).join("");
  }

  /** The model's own names under those given here, less what says the same, and a name that another latent has by now. */
  #layOver() {
    const same = (k) => JSON.stringify(latentOf(this.given[k])) === JSON.stringify(latentOf(this.own[k]));
    const taken = (k) => this.all.some((each, other) => other !== Number(k) && each.name === this.given[k].name);
    for (const k of Object.keys(this.given).filter(same)) delete this.given[k];
    for (;;) {
      this.all = this.own.map((latent, k) => this.given[k] ?? latent);
      const clash = Object.keys(this.given).find(taken);
      if (clash === undefined) return;
      delete this.given[clash];
    }
  }

  #recall() {
    try {
      const kept = Object.entries(JSON.parse(localStorage.getItem(this.key)));
      const sound = ([k, { name, sign, range }]) => k in this.own && typeof name === "string" && Math.abs(sign) === 1 && range[0] < range[1];
      return Object.fromEntries(kept.filter(sound));
    } catch {
      return {}; // nothing, what another version left, or a browser that keeps nothing
    }
  }
}

const latentOf = ({ name, sign, range }) => [name, sign, range];
const isPlain = (k, { name, sign, range }) => name === `latent ${k}` && sign === 1 && range[0] === -2 && range[1] === 2;
