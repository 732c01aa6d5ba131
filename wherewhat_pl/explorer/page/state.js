// What is shown, and its place in the address: whoever opens the same link sees the same.

/** A state with all latents at 0, one image shown. */
export function freshState(n) {
  return { a: Array(n).fill(0), b: null, on: "a", two: false, take: new Set(), under: false, lock: new Set(), mask: true, smooth: null };
}

export function toHash(state) {
  const parts = [`a=${numbers(state.a)}`];
  if (state.b) parts.push(`b=${numbers(state.b)}`);
  if (state.two) parts.push("two=1");
  if (state.on === "b") parts.push("on=b");
  if (state.take.size) parts.push(`take=${[...state.take]}`);
  if (state.under) parts.push("under=1");
  if (state.lock.size) parts.push(`lock=${[...state.lock]}`);
  if (!state.mask) parts.push("mask=0");
  if (state.smooth !== null) parts.push(`smooth=${Number(state.smooth)}`);
  return `#${parts.join("&")}`;
}

/** What of a hash makes sense for a model of n latents. */
export function fromHash(hash, n) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const state = freshState(n);
  const code = (key) => {
    const values = (said.get(key) ?? "").split(",").map(Number);
    return values.length === n && values.every((value) => Number.isFinite(value) && Math.abs(value) <= 100) ? values : null;
  };
  const positions = (key) => new Set((said.get(key) ?? "").split(",").filter((word) => /^\d+$/.test(word) && word < n).map(Number));
  state.a = code("a") ?? state.a;
  state.b = code("b");
  state.two = said.get("two") === "1" && state.b !== null;
  state.on = said.get("on") === "b" && state.two ? "b" : "a";
  state.take = positions("take");
  state.under = said.get("under") === "1";
  state.lock = positions("lock");
  state.mask = said.get("mask") !== "0";
  state.smooth = said.has("smooth") ? said.get("smooth") === "1" : null;
  return state;
}

/** A draw from the prior within the range that the latent is shown in. */
export function randomValue(prior, [low, high]) {
  for (let tries = 0; tries < 100; tries++) {
    const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
    const value = prior === "uniform" ? Math.random() * 4 - 2 : normal;
    if (low <= value && value <= high) return rounded(value);
  }
  return rounded(low + Math.random() * (high - low)); // a range far out in the prior's tail
}

export const rounded = (value) => Math.round(value * 1000) / 1000 + 0; // no -0

const numbers = (code) => code.map((value) => String(rounded(value))).join(",");
