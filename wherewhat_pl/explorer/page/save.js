// Files to download: a picture, and codes in the format that `make edit` and `make traverse` read.

export function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Canvases side by side, whole pixels enlarged to about 512. */
export function pictureOf(canvases, smooth) {
  const size = canvases[0].width;
  const side = size * Math.max(1, Math.round(512 / size));
  const sheet = document.createElement("canvas");
  sheet.width = canvases.length * side + (canvases.length - 1) * 8;
  sheet.height = side;
  const context = sheet.getContext("2d");
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  canvases.forEach((canvas, k) => context.drawImage(canvas, k * (side + 8), 0, side, side));
  return new Promise((resolve) => sheet.toBlob(resolve, "image/png"));
}

/** Codes as numpy's .npz, an uncompressed zip of arrays: `codes [N, n]`, `names [N]`, `distances [N]`, which are 0. */
export function npz(codes, names) {
  const width = Math.max(...names.map((name) => name.length));
  const letters = new Uint32Array(names.length * width);
  names.forEach((name, row) => [...name].forEach((letter, k) => (letters[row * width + k] = letter.codePointAt(0))));
  return zip({
    "codes.npy": npy("<f4", [codes.length, codes[0].length], Float32Array.from(codes.flat())),
    "names.npy": npy(`<U${width}`, [names.length], letters),
    "distances.npy": npy("<f4", [codes.length], new Float32Array(codes.length)),
  });
}

function npy(type, shape, data) {
  let head = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + "\n";
  const bytes = new TextEncoder().encode(`?NUMPY??${"??"}${head}`);
  bytes.set([0x93], 0);
  bytes.set([1, 0, head.length & 255, head.length >> 8], 6);
  return concatenated([bytes, new Uint8Array(data.buffer)]);
}

function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const label = new TextEncoder().encode(name);
    // version, flags, method, time, date (1980), checksum, two sizes, lengths of name and extra
    const fields = [[20, 2], [0, 2], [0, 2], [0, 2], [33, 2], [crc32(content), 4], [content.length, 4], [content.length, 4], [label.length, 2], [0, 2]];
    directory.push(record([[0x02014b50, 4], [20, 2], ...fields, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]), label);
    const head = record([[0x04034b50, 4], ...fields]);
    parts.push(head, label, content);
    offset += head.length + label.length + content.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const count = Object.keys(files).length;
  const end = record([[0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [offset, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end]);
}

function record(fields) {
  return Uint8Array.from(fields.flatMap(([value, length]) => Array.from({ length }, (_, k) => (value >>> (8 * k)) & 255)));
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

function concatenated(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
