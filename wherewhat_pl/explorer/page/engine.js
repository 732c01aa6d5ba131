// The queue before the generator: a slot for each picture on the page, in which the newest wish replaces the one before.

/** Starts the worker; resolves to an engine once it can draw. */
export function startEngine() {
  const worker = new Worker("worker.js", { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message || "the worker could not start"));
    worker.onmessage = ({ data }) => (data === "ready" ? resolve(new Engine(worker)) : reject(new Error(data.error)));
    worker.postMessage("start");
  });
}

class Engine {
  constructor(worker) {
    this.worker = worker;
    this.waiting = new Map(); // slot -> wish; whose rank is lower is drawn first
    this.current = null;
    worker.onmessage = ({ data }) => this.#finish(data);
  }

  /** Have a code drawn: `done({image [C*H*W], masks [n*H*W] or null, ms since asked})`, unless a newer wish replaces it. */
  ask(slot, rank, code, masks, done) {
    const wish = { slot, rank, code: [...code], masks, done, asked: performance.now() };
    const before = this.waiting.get(slot);
    if (before) wish.asked = Math.min(wish.asked, before.asked); // the eye has waited since then
    this.waiting.set(slot, wish);
    this.#next();
  }

  /** Forget what waits in the slots that begin so. */
  forget(prefix) {
    for (const slot of this.waiting.keys()) if (slot.startsWith(prefix)) this.waiting.delete(slot);
  }

  #next() {
    if (this.current || !this.waiting.size) return;
    const wish = [...this.waiting.values()].reduce((first, each) => (each.rank < first.rank ? each : first));
    this.waiting.delete(wish.slot);
    this.current = wish;
    document.body.dataset.busy = true;
    this.worker.postMessage({ id: wish.slot, code: wish.code, masks: wish.masks });
  }

  #finish(data) {
    const wish = this.current;
    this.current = null;
    this.#next();
    if (data.error) throw new Error(data.error);
    wish.done({ ...data, ms: performance.now() - wish.asked });
    if (!this.current) document.body.dataset.busy = false;
  }
}
