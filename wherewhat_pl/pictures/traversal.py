"""Traversals and masks as one picture: a row per latent, the one that changes most first, its mask beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from wherewhat_pl.pictures.pixels import mask_over_image, tile, tile_side, to_uint8

GAP = 2
LABEL_WIDTH = 96
HEADER_HEIGHT = 18
BACKGROUND, INK = (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True)
class Traversal:
    """All latents' traversals from one base code.

    Attributes:
        values: ``[n, columns]``, what each latent is set to.
        images: ``[n, columns, C, H, W]`` in about [-1, 1].
        base_image: ``[C, H, W]``, of the base code itself.
        masks: ``[n, H, W]`` in [0, 1], the masks at the base code; zero for latents without one. None if no latent
            has a mask.
        change: ``[n]``, mean absolute change per pixel from the lowest value to the middle one and on to the highest.
        names: of the latents.
    """

    values: Tensor
    images: Tensor
    base_image: Tensor
    masks: Tensor | None
    change: Tensor
    names: list[str]

    @property
    def order(self) -> list[int]:
        """Latents, the one that changes most first."""
        return self.change.argsort(descending=True).tolist()


def traversal_picture(traversal: Traversal, latents: Sequence[int] | None = None) -> Image.Image:
    """Draw a traversal: label, ``columns`` images, and, where there are masks, the mask and the mask over the image.

    A latent without a mask has the word "everywhere" in their place.

    Args:
        traversal: what is drawn.
        latents: a row for each of these; None: for all, the one that changes most first.
    """
    rows = traversal.order if latents is None else latents
    has_masks = traversal.masks is not None
    columns, side = traversal.images.shape[1], tile_side(traversal.images.shape[-1])
    width = LABEL_WIDTH + (columns + 2 * has_masks) * (side + GAP) + has_masks * 4 * GAP
    canvas = Image.new("RGB", (width, HEADER_HEIGHT + len(rows) * (side + GAP)), BACKGROUND)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)

    alike = bool((traversal.values == traversal.values[0]).all())
    heads = [f"{value:+.1f}" if alike else "" for value in traversal.values[0].tolist()]
    heads += ["mask", "on image"] * has_masks
    # Masks stand a little apart from the images.
    lefts = [LABEL_WIDTH + column * (side + GAP) + 4 * GAP * (column >= columns) for column in range(len(heads))]
    for left, head in zip(lefts, heads, strict=True):
        pen.text((left + side / 2, 3), head, fill=INK, font=font, anchor="ma")
    for row, latent in enumerate(rows):
        top = HEADER_HEIGHT + row * (side + GAP)
        lines = [traversal.names[latent], f"change {traversal.change[latent]:.3f}"]
        if not alike:
            lines.append(" to ".join(f"{value:+.1f}" for value in traversal.values[latent, [0, -1]].tolist()))
        for number, line in enumerate(lines):
            pen.text((4, top + side / 2 - 12 + 14 * number), shortened(line, font), fill=INK, font=font)
        tiles = list(to_uint8(traversal.images[latent]))
        mask = None if traversal.masks is None else traversal.masks[latent].cpu().clamp(0, 1)
        if mask is not None and mask.any():
            tiles += [(mask * 255).to(torch.uint8)[None].expand(3, -1, -1), mask_over_image(traversal.base_image, mask)]
        elif mask is not None:
            pen.text((lefts[-1] - GAP / 2, top + side / 2), "everywhere", fill=INK, font=font, anchor="mm")
        for left, pixels in zip(lefts, tiles, strict=False):  # the places of masks stay empty without one
            canvas.paste(tile(pixels), (left, top))
    return canvas


def shortened(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int = LABEL_WIDTH - 6) -> str:
    """Text that is no wider than ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
