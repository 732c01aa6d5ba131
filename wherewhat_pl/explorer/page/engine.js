// The queue before the generator: a slot for each picture on the page, in which the newest wish replaces the one before.
// It takes that one's place, too, so a picture that changes all the time lets the others pass: whoever waits longest is next.

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
    this.waiting = new Map(); // slot -> wish, in the order in which slots began to wait
    this.current = null;
    worker.onmessage = ({ data }) => this.#finish(data);
  }

  /**
   * Have a code drawn, unless a newer wish replaces it: `done({code, image [C*H*W], masks [n*H*W] or null, ms since asked})`
   * may ask for more, and returns a function that paints. With `idle`, when no other wish waits.
   */
  ask(slot, code, { masks = false, idle = false }, done) {
    const wish = { slot, code: [...code], masks, idle, done, asked: performance.now() };
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
    const wishes = [...this.waiting.values()];
    const wish = wishes.find((each) => !each.idle) ?? wishes[0];
    this.waiting.delete(wish.slot);
    this.current = wish;
    document.body.dataset.busy = true;
    this.worker.postMessage({ id: wish.slot, code: wish.code, masks: wish.masks });
  }

  #finish(data) {
    const wish = this.current;
    this.current = null;
    const paint = data.error ? null : wish.done({ ...data, code: wish.code, ms: performance.now() - wish.asked });
    this.#next(); // the worker goes on while the page paints
    if (data.error) throw new Error(data.error);
    paint();
    if (!this.current) document.body.dataset.busy = false;
  }
}
