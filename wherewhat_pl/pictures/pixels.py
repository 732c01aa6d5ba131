"""Numbers as pixels."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

TILE = 64  #: smallest side of a tile in screen pixels
MAX_TILE = 256  #: largest one; 36 latents of 512 px would be a picture of 100 megapixels
MASK_COLOR = (255, 64, 0)


def to_uint8(images: Tensor) -> Tensor:
    """``[..., C, H, W]`` in [-1, 1], grey or RGB -> ``[..., 3, H, W]`` uint8 on the CPU."""
    pixels = ((images.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.expand(*pixels.shape[:-3], 3, *pixels.shape[-2:])


def mask_over_image(image: Tensor, mask: Tensor) -> Tensor:
    """A mask ``[H, W]``, scaled to its maximum, as colour over a grey image: ``[3, H, W]`` uint8."""
    grey = to_uint8(image).float().mean(0, keepdim=True) * 0.6 + 60
    strength = (mask / mask.max().clamp_min(1e-8)).clamp(0, 1) * 0.75
    color = torch.tensor(MASK_COLOR, dtype=torch.float32)[:, None, None]
    return (grey * (1 - strength) + color * strength).round().to(torch.uint8)


def tile_side(side: int) -> int:
    """Screen pixels that an image of so many pixels is shown at: a whole multiple, but for large ones."""
    return min(MAX_TILE, side * max(1, -(-TILE // side)))


def tile(pixels: Tensor) -> Image.Image:
    """Pixels ``[3, H, H]`` uint8 as a picture with sides of :func:`tile_side`."""
    image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
    side = tile_side(image.width)
    return image.resize((side, side), Image.Resampling.BOX if side < image.width else Image.Resampling.NEAREST)
