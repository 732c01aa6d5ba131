// A row per latent: its mask, name, slider, value, and buttons.

export class Row {
  /** `act` has `set(k, value)`, `touch(k)`, `lock(k)`, `take(k, on)` and `edit(k)`. */
  constructor(k, masked, act) {
    this.k = k;
    this.element = document.getElementById("row").content.firstElementChild.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    [this.thumb, this.name, this.slider, this.output] = [".thumb", ".name", "input[type=range]", "output"].map(find);
    [this.lock, this.edit, this.take] = [".lock", ".edit", ".take input"].map(find);
    this.element.dataset.latent = k;
    this.thumb.classList.toggle("none", !masked);
    this.thumb.title = masked ? "where it acts" : "acts everywhere";
    this.slider.addEventListener("input", () => act.set(k, this.sign * Number(this.slider.value)));
    this.slider.addEventListener("dblclick", () => act.set(k, 0));
    this.element.addEventListener("pointerdown", () => act.touch(k));
    this.element.addEventListener("focusin", () => act.touch(k));
    this.lock.addEventListener("click", () => act.lock(k));
    this.edit.addEventListener("click", () => act.edit(k));
    this.take.addEventListener("change", () => act.take(k, this.take.checked));
  }

  /** Show what the latent is called. A sign of -1 turns the slider round: its right end is the low value. */
  call({ name, sign, range: [low, high] }) {
    this.sign = sign;
    [this.slider.min, this.slider.max] = sign > 0 ? [low, high] : [-high, -low];
    const plain = name === `latent ${this.k}`;
    this.name.textContent = name;
    this.name.classList.toggle("plain", plain);
    this.name.title = plain ? "" : `latent ${this.k}`;
    this.slider.setAttribute("aria-label", name);
    this.lock.setAttribute("aria-label", `Lock ${name}`);
    this.lock.title = "lock: random and reset leave it";
    this.edit.setAttribute("aria-label", `Name ${name}`);
    this.edit.title = "name, range, direction";
    this.take.setAttribute("aria-label", `Take ${name} from B`);
  }

  show(value, { touched, locked, taken }) {
    this.slider.value = this.sign * value;
    const text = (Math.round(value * 100) / 100 + 0).toFixed(2).replace("-", "−");
    this.output.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
    const share = (this.slider.value - this.slider.min) / (this.slider.max - this.slider.min);
    this.slider.style.setProperty("--share", `${100 * share}%`);
    this.element.classList.toggle("touched", touched);
    this.lock.setAttribute("aria-pressed", locked);
    this.lock.querySelector("use").setAttribute("href", locked ? "#lock" : "#open");
    this.take.checked = taken;
  }
}

/** Touch the row under a pointer that moves; scrolling takes other rows under one that rests. */
export function touchUnderPointer(act) {
  let rested = "";
  document.addEventListener("pointermove", ({ target, screenX, screenY }) => {
    const row = target.closest(".row");
    const at = `${screenX},${screenY}`;
    if (row && at !== rested) act.touch(Number(row.dataset.latent));
    rested = at;
  });
}
