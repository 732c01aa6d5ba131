// Numbers to pixels.

/** An image [C*H*W] in [-1, 1] onto a canvas, one canvas pixel each; the same rounding as the pictures of Python. */
export function drawImage(canvas, image, size, channels) {
  const pixels = sized(canvas, size).createImageData(size, size);
  const area = size * size;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = (Math.min(1, Math.max(-1, image[(channels === 3 ? c : 0) * area + i])) + 1) * 127.5;
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A mask [H*W] as a shade over what lies outside it, scaled to its maximum as in the pictures of Python. */
export function drawShade(canvas, mask, size, strength = 0.6) {
  const most = Math.max(1e-8, mask.reduce((a, b) => Math.max(a, b)));
  const pixels = sized(canvas, size).createImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    pixels.data.set([14, 17, 22, 255 * strength * (1 - mask[i] / most)], 4 * i);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A mask as a small picture of its own; null: the latent has none. */
export function drawThumb(canvas, mask, size) {
  const pixels = sized(canvas, size).createImageData(size, size);
  for (let i = 0; i < size * size; i++) pixels.data.set([255, 150, 60, mask ? 255 * mask[i] : 0], 4 * i);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A's image with B's attributes where their masks are: the share of a pixel is 1 - prod(1 - M), before and after. */
export function blendUnderMasks(before, after, latents, size, channels) {
  const area = size * size;
  const image = before.image.slice();
  for (let i = 0; i < area; i++) {
    let outside = 1;
    for (const k of latents) outside *= (1 - before.masks[k * area + i]) * (1 - after.masks[k * area + i]);
    for (let c = 0; c < channels; c++) image[c * area + i] += (after.image[c * area + i] - image[c * area + i]) * (1 - outside);
  }
  return image;
}

export function clear(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

function sized(canvas, size) {
  if (canvas.width !== size || canvas.height !== size) canvas.width = canvas.height = size;
  return canvas.getContext("2d");
}
