"""Traversals and masks as one picture: a row per latent, the one that changes most first, its mask beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from wherewhat_pl.pictures.pixels import mask_over_image, to_uint8

TILE = 64  #: smallest side of a tile in screen pixels
MAX_TILE = 256  #: largest one; 36 latents of 512 px would be a picture of 100 megapixels
GAP = 2
LABEL_WIDTH = 96
HEADER_HEIGHT = 18
BACKGROUND, INK, MASK_COLOR = (255, 255, 255), (40, 40, 40), (255, 64, 0)


@dataclass(frozen=True)
class Traversal:
    """All latents' traversals from one base code.

    Attributes:
        values: ``[columns]``, what the traversed latent is set to.
        images: ``[n, columns, C, H, W]`` in about [-1, 1].
        base_image: ``[C, H, W]``, of the base code itself.
        masks: ``[n, H, W]`` in [0, 1], the masks at the base code; zero for latents without one. None if no latent
            has a mask.
        change: ``[n]``, mean absolute change per pixel from the lowest value to the middle one and on to the highest.
    """

    values: Tensor
    images: Tensor
    base_image: Tensor
    masks: Tensor | None
    change: Tensor

    @property
    def order(self) -> list[int]:
        """Latents, the one that changes most first."""
        return self.change.argsort(descending=True).tolist()


def traversal_picture(traversal: Traversal) -> Image.Image:
    """Draw a traversal: label, ``columns`` images, and, where there are masks, the mask and the mask over the image."""
    has_masks = traversal.masks is not None
    columns = traversal.images.shape[1]
    side = traversal.images.shape[-1]
    tile = min(MAX_TILE, side * max(1, -(-TILE // side)))
    resampling = Image.Resampling.BOX if tile < side else Image.Resampling.NEAREST
    width = LABEL_WIDTH + (columns + 2 * has_masks) * (tile + GAP) + has_masks * 4 * GAP
    canvas = Image.new("RGB", (width, HEADER_HEIGHT + len(traversal.images) * (tile + GAP)), BACKGROUND)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)

    heads = [f"{value:+.1f}" for value in traversal.values.tolist()] + ["mask", "on image"] * has_masks
    for column, head in enumerate(heads):
        pen.text((_left(column, columns, tile) + tile / 2, 3), head, fill=INK, font=font, anchor="ma")
    for row, latent in enumerate(traversal.order):
        top = HEADER_HEIGHT + row * (tile + GAP)
        pen.text((4, top + tile / 2 - 12), f"latent {latent}", fill=INK, font=font)
        pen.text((4, top + tile / 2 + 2), f"change {traversal.change[latent]:.3f}", fill=INK, font=font)
        tiles = list(to_uint8(traversal.images[latent]))
        if traversal.masks is not None:
            mask = traversal.masks[latent].cpu().clamp(0, 1)
            tiles += [(mask * 255).to(torch.uint8)[None].expand(3, -1, -1), mask_over_image(traversal.base_image, mask)]
        for column, pixels in enumerate(tiles):
            image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
            canvas.paste(image.resize((tile, tile), resampling), (_left(column, columns, tile), top))
    return canvas


def _left(column: int, columns: int, tile: int) -> int:
    """Masks stand a little apart from the images."""
    return LABEL_WIDTH + column * (tile + GAP) + (4 * GAP if column >= columns else 0)
