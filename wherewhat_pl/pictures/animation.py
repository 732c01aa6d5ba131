"""Traversals that move: each latent in a cell of its own, its mask over the image beside the image."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from wherewhat_pl.pictures.pixels import mask_over_image, tile, tile_side, to_uint8
from wherewhat_pl.pictures.traversal import BACKGROUND, GAP, INK, shortened

LABEL_HEIGHT = 16
APART = 10  #: pixels between two cells


def traversal_frames(images: Tensor, masks: Tensor | None, names: Sequence[str]) -> list[Image.Image]:
    """Frames from the first column to the last and back, without the ends twice.

    Args:
        images: ``[k, S, F, C, H, H]`` in about [-1, 1]: k latents, S base codes, F values.
        masks: ``[k, S, F, H, H]`` in [0, 1], each latent's own; where it is zero its place stays empty. None: no masks
            beside the images.
        names: k labels.

    Returns:
        ``2 F - 2`` pictures of one size, or one if F is 1.
    """
    latents, codes, columns = images.shape[:3]
    side, parts = tile_side(images.shape[-1]), codes * (1 + (masks is not None))
    width, height = parts * (side + GAP) + APART, LABEL_HEIGHT + side + APART
    across = max(1, min(latents, round((latents * height * 1.5 / width) ** 0.5)))  # about three to two
    size = (across * width, -(-latents // across) * height)
    font = ImageFont.load_default(11)

    def frame(column: int) -> Image.Image:
        canvas = Image.new("RGB", size, BACKGROUND)
        pen = ImageDraw.Draw(canvas)
        for latent in range(latents):
            left, top = latent % across * width + APART // 2, latent // across * height
            pen.text((left, top + 2), shortened(names[latent], font, width - APART), fill=INK, font=font)
            shown: list[Tensor | None] = []
            for code, image in enumerate(images[latent, :, column]):
                shown.append(to_uint8(image))
                if masks is not None:
                    mask = masks[latent, code, column].cpu()
                    shown.append(mask_over_image(image, mask) if mask.any() else None)
            for number, pixels in enumerate(shown):
                if pixels is not None:
                    canvas.paste(tile(pixels), (left + number * (side + GAP), top + LABEL_HEIGHT))
        return canvas

    frames = [frame(column) for column in range(columns)]
    return frames + frames[-2:0:-1]
