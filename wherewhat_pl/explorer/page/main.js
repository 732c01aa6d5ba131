// The explorer: state, what the user does to it, and what is drawn of it.
import { blendUnderMasks, clear, drawImage, drawShade, drawThumb } from "./draw.js";
import { startEngine } from "./engine.js";
import { Names } from "./names.js";
import { Row, touchUnderPointer } from "./rows.js";
import { download, npz, pictureOf } from "./save.js";
import { fromHash, randomValue, rounded, toHash } from "./state.js";
import { listenToKeys, switchTheme } from "./page.js";

const STRIP = 7; // images of the strip
const IDLE_MS = 120; // after the last move, before the strip is drawn
const $ = (id) => document.getElementById(id);

const meta = await (await fetch("meta.json")).json();
const [n, size, channels] = [meta.latents.length, meta.resolution, meta.channels];
const masked = new Set(meta.masked);
const names = new Names(meta);
let state = fromHash(location.hash, n);
if (!masked.size) state.under = false;
let touched = null; // the latent under the pointer or the focus
let engine = null;
const drawn = { a: null, b: null }; // the newest image and masks of each, and their code
const rows = new Map(); // in the order shown

// ---- what the user does ----

const act = {
  set(k, value) {
    state[state.on][k] = rounded(value);
    touched = k;
    changed(state.on);
  },
  touch(k) {
    if (touched === k) return;
    touched = k;
    show();
    shade();
    askStrip();
  },
  lock(k) {
    toggle(state.lock, k);
    changed();
  },
  take(k, on) {
    if (!canTake(k)) return;
    toggle(state.take, k, on);
    changed("take");
  },
  edit: openNaming,
  random() {
    change((value, k) => randomValue(meta.prior, names.all[k].range));
  },
  reset() {
    change(() => 0);
  },
  mask() {
    state.mask = !state.mask;
    changed();
    shade();
  },
  smooth() {
    state.smooth = !isSmooth();
    changed();
  },
  two() {
    state.two = !state.two;
    state.b ??= state.a.map((_, k) => randomValue(meta.prior, names.all[k].range));
    if (!state.two) state.on = "a";
    changed("all");
  },
  under() {
    if (!masked.size) return;
    state.under = !state.under;
    changed("take");
  },
  choose(which) {
    if (!state.two || state.on === which) return;
    state.on = which;
    changed();
    shade();
    thumbs();
    askStrip();
  },
  async picture() {
    const shown = state.two ? ["a", "b", "result"] : ["a"];
    download(`${fileName()}.png`, await pictureOf(shown.map((which) => $(`image-${which}`)), isSmooth()));
  },
  code() {
    const codes = state.two ? [state.a, state.b, resultCode(state.a)] : [state.a];
    download("codes.npz", npz(codes, ["a", "b", "result"].slice(0, codes.length)));
  },
  names() {
    download("latents.yaml", new Blob([names.yaml()], { type: "application/yaml" }));
  },
  async link() {
    try {
      await navigator.clipboard.writeText(location.href);
      say("Link copied.");
    } catch {
      say("The address of this page is the link.");
    }
  },
};

function change(value) {
  state[state.on] = state[state.on].map((before, k) => (state.lock.has(k) ? before : value(before, k)));
  changed(state.on);
}

/** Show the state, keep it in the address, and have drawn what it changes: "a", "b", "take", "all" or nothing. */
function changed(what) {
  show();
  history.replaceState(null, "", toHash(state));
  if (!engine || !what) return;
  if (what === "a" || what === "all") ask("a");
  if (state.two && (what === "b" || what === "all")) ask("b");
  if (what === "b" || what === "take") askResult(); // a new A asks for its own
  if (what !== "take") askStrip();
}

// ---- what is drawn ----

function ask(which) {
  engine.ask(which, state[which], { masks: masked.size > 0 }, (found) => {
    drawn[which] = found;
    if (which === "a") askResult();
    return () => {
      drawImage($(`image-${which}`), found.image, size, channels);
      if (which === state.on) {
        shade();
        thumbs();
      }
      tellDrawn(which, found);
    };
  });
}

/** The third picture, of the A that is drawn: while A moves, the two still belong together. */
function askResult() {
  const a = drawn.a;
  if (!state.two || !a) return;
  const under = state.under ? taken() : null;
  engine.ask("result", resultCode(a.code), { masks: state.under }, (found) => () => {
    drawImage($("image-result"), under ? blendUnderMasks(a, found, under, size, channels) : found.image, size, channels);
    tellDrawn("result", found);
  });
}

const tellDrawn = (which, { ms }) => document.dispatchEvent(new CustomEvent("drawn", { detail: { which, ms } }));

/** Whether a latent can pass from B to A, and those that do. */
const canTake = (k) => !state.under || masked.has(k);
const taken = () => [...rows.keys()].filter((k) => state.take.has(k) && canTake(k));

function resultCode(a) {
  const from = new Set(taken());
  return a.map((value, k) => (from.has(k) ? state.b[k] : value));
}

function shade() {
  for (const which of ["a", "b"]) {
    const on = state.mask && which === state.on && touched !== null && masked.has(touched) && drawn[which]?.masks;
    if (on) drawShade($(`mask-${which}`), maskOf(which, touched), size);
    else clear($(`mask-${which}`));
  }
}

function thumbs() {
  if (!drawn[state.on]?.masks) return;
  for (const [k, row] of rows) drawThumb(row.thumb, masked.has(k) ? maskOf(state.on, k) : null, size);
}

const maskOf = (which, k) => drawn[which].masks.subarray(k * size * size, (k + 1) * size * size);

// The strip: the touched latent from end to end, when nothing else is to be drawn.
let stripTimer;
function askStrip() {
  clearTimeout(stripTimer);
  engine?.forget("strip");
  if (touched === null || !engine) return;
  const k = touched;
  showStripMark();
  $("strip-label").textContent = `${names.all[k].name}, from ${ends(k).map(format).join(" to ")}`;
  stripTimer = setTimeout(() => {
    for (let step = 0; step < STRIP; step++) {
      const code = [...state[state.on]];
      code[k] = stripValue(k, step);
      engine.ask(`strip${step}`, code, { idle: true }, ({ image }) => () => {
        if (touched === k) drawImage($("strip").children[step].firstElementChild, image, size, channels);
      });
    }
  }, IDLE_MS);
}

const ends = (k) => (names.all[k].sign > 0 ? names.all[k].range : [...names.all[k].range].reverse());
const stripValue = (k, step) => rounded(ends(k)[0] + ((ends(k)[1] - ends(k)[0]) * step) / (STRIP - 1));
const format = (value) => String(value).replace("-", "−");

function showStripMark() {
  const value = state[state.on][touched];
  const nearest = [...Array(STRIP).keys()].reduce((best, step) => (Math.abs(stripValue(touched, step) - value) < Math.abs(stripValue(touched, best) - value) ? step : best));
  [...$("strip").children].forEach((cell, step) => cell.classList.toggle("near", step === nearest));
}

// ---- what is shown ----

const isSmooth = () => state.smooth ?? size > 64;
const fileName = () => meta.title.replace(/[^\w.+-]+/g, "-");

function show() {
  document.body.classList.toggle("two", state.two);
  document.body.classList.toggle("smooth", isSmooth());
  for (const [k, row] of rows) {
    row.show(state[state.on][k], { touched: k === touched, locked: state.lock.has(k), taken: state.take.has(k) });
    row.take.disabled = !canTake(k);
  }
  for (const [id, on] of [["mask", state.mask], ["smooth", isSmooth()], ["two", state.two], ["under", state.under]]) $(id).setAttribute("aria-pressed", on);
  for (const which of ["a", "b"]) {
    $(`figure-${which}`).classList.toggle("active", which === state.on);
    $(`frame-${which}`).setAttribute("aria-pressed", state.two ? which === state.on : state.mask && masked.size > 0);
  }
  $("frame-a").setAttribute("aria-label", state.two ? "Image A: sliders act on it" : masked.size ? "Image: the mask of the touched latent over it" : "Image");
  $("frame-a").disabled = !state.two && !masked.size;
  const called = taken().map((k) => names.all[k].name);
  $("taken").textContent = called.length > 3 ? `${called.length} latents` : called.join(" + ") || "nothing";
}

/** Tell something: in passing, or ("stays", "error") until something else is told. */
function say(text, how = "passing") {
  $("status").textContent = text;
  $("status").classList.toggle("error", how === "error");
  clearTimeout(passing);
  if (how === "passing") passing = setTimeout(() => say("", "stays"), 2500);
}
let passing;

function toggle(set, k, on = !set.has(k)) {
  if (on) set.add(k);
  else set.delete(k);
}

// ---- naming ----

function openNaming(k) {
  const { name, sign, range } = names.all[k];
  $("naming-title").textContent = `Latent ${k}`;
  $("naming-name").value = name === `latent ${k}` ? "" : name;
  $("naming-name").placeholder = `latent ${k}`;
  [$("naming-low").value, $("naming-high").value] = range;
  $("naming-sign").checked = sign < 0;
  $("naming-error").textContent = "";
  $("naming").dataset.latent = k;
  $("naming").showModal();
  $("naming-name").select();
}

async function saveNaming(event) {
  event.preventDefault();
  const k = Number($("naming").dataset.latent);
  const range = [Number($("naming-low").value), Number($("naming-high").value)];
  let kept;
  try {
    kept = await names.give(k, { name: $("naming-name").value, sign: $("naming-sign").checked ? -1 : 1, range });
  } catch (error) {
    $("naming-error").textContent = error.message;
    return;
  }
  $("naming").close();
  for (const [position, row] of rows) row.call(names.all[position]);
  show();
  askStrip();
  say(kept);
}

// ---- the start ----

function build() {
  document.title = `${meta.title} · explorer`;
  $("title").textContent = meta.title;
  $("facts").textContent = meta.facts.join(" · ");
  $("order").textContent = `in order of ${meta.order_by}`;
  $("kept").textContent = names.file ? `Names are saved in ${names.file}.` : "Names are kept in this browser; “Save names” saves them as the latents.yaml that a run's folder takes.";
  for (const k of meta.order) {
    const row = new Row(k, masked.has(k), act);
    row.call(names.all[k]);
    rows.set(k, row);
    $("rows").append(row.element);
  }
  for (let step = 0; step < STRIP; step++) {
    const cell = document.createElement("button");
    [cell.type, cell.tabIndex] = ["button", -1]; // by keyboard the slider does the same
    cell.append(document.createElement("canvas"));
    cell.addEventListener("click", () => touched !== null && act.set(touched, stripValue(touched, step)));
    $("strip").append(cell);
  }
  touchUnderPointer(act);
  $("rows").addEventListener("pointerleave", () => {
    const focused = document.activeElement?.closest?.(".row");
    if (focused && touched !== Number(focused.dataset.latent)) act.touch(Number(focused.dataset.latent));
  });
  for (const id of ["random", "reset", "mask", "smooth", "two", "under", "picture", "code", "names", "link"]) $(id).addEventListener("click", act[id]);
  for (const which of ["a", "b"]) $(`frame-${which}`).addEventListener("click", () => (state.two ? act.choose(which) : act.mask()));
  if (!masked.size) for (const id of ["mask", "under"]) $(id).hidden = true;
  $("naming").querySelector("form").addEventListener("submit", saveNaming);
  $("naming-cancel").addEventListener("click", () => $("naming").close());
  $("help").addEventListener("click", () => $("keys").showModal());
  switchTheme($("theme"));
  listenToKeys(act, { current: () => touched, rows, two: () => state.two, taken: (k) => state.take.has(k), help: () => $("keys").showModal() });
  window.addEventListener("hashchange", () => {
    state = fromHash(location.hash, n);
    if (!masked.size) state.under = false;
    changed("all");
  });
}

build();
show();
document.querySelector("main").hidden = false;
say("Loading the model …", "stays");
try {
  engine = await startEngine();
  window.addEventListener("error", (event) => say(event.message, "error"));
  say("", "stays");
  changed("all");
  document.body.dataset.ready = "true";
} catch (error) {
  say(`The model could not be loaded: ${error.message}`, "error");
}
