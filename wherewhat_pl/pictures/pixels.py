"""Numbers as pixels."""

from __future__ import annotations

import torch
from torch import Tensor

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
