// What latents are called: kept in the run's latents.yaml where the server can write one, else by this browser.

export class Names {
  constructor(meta) {
    this.all = meta.latents;
    this.file = meta.names_in;
    this.key = `wherewhat/${meta.key}/latents`;
    if (!this.file) this.#recall(meta.latents.length);
  }

  /** Name a latent; rejects with a sentence where that cannot be. */
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
    } else {
      this.all[position] = { ...latent, name };
      localStorage.setItem(this.key, JSON.stringify(this.all));
    }
  }

  /** The text of latents.yaml; what JSON writes is YAML, too. */
  yaml() {
    const rows = this.all.map((latent, k) => [k, latent]).filter(([k, latent]) => !isPlain(k, latent));
    return rows.map(([k, { name, sign, range }]) => `${k}: {name: ${JSON.stringify(name)}, sign: ${sign}, range: [${range.join(", ")}]}\n`).join("");
  }

  #recall(count) {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key));
      const sound = (each) => typeof each.name === "string" && Math.abs(each.sign) === 1 && each.range[0] < each.range[1];
      if (kept?.length === count && kept.every(sound)) this.all = kept;
    } catch {
      // what another version left, or a browser that keeps nothing
    }
  }
}

const isPlain = (k, { name, sign, range }) => name === `latent ${k}` && sign === 1 && range[0] === -2 && range[1] === 2;
