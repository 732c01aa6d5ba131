// Runs the generator, one image at a time, away from the page so that sliders never wait for it.
import * as ort from "./onnxruntime_web/ort.js";

let session;

/** A gzipped file, unpacked; some web servers have the browser unpack it already. */
async function unpacked(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function start() {
  ort.env.wasm.numThreads = 1; // more would need headers that not every web server can send
  ort.env.wasm.wasmPaths = { mjs: new URL("onnxruntime_web/ort-wasm.js", import.meta.url).href };
  ort.env.wasm.wasmBinary = await unpacked("onnxruntime_web/ort-wasm-simd-threaded.wasm.gz");
  const response = await fetch("model.onnx");
  if (!response.ok) throw new Error(`model.onnx: ${response.status}`);
  session = await ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), { executionProviders: ["wasm"] });
}

async function draw({ id, code, masks }) {
  const latents = new ort.Tensor("float32", Float32Array.from(code), [1, code.length]);
  const found = await session.run({ latents }, masks ? ["images", "masks"] : ["images"]);
  const image = found.images.data.slice();
  const drawn = masks ? found.masks.data.slice() : null;
  postMessage({ id, image, masks: drawn }, drawn ? [image.buffer, drawn.buffer] : [image.buffer]);
}

onmessage = async ({ data }) => {
  try {
    if (data === "start") {
      await start();
      postMessage("ready");
    } else await draw(data);
  } catch (error) {
    postMessage({ id: data.id, error: String(error.message ?? error) });
  }
};
