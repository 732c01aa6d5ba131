"""One rule for all square uint8 images whose sides are powers of two: box averages down, repeated or bilinear up."""

from __future__ import annotations

import torch
from torch import Tensor


def resize(images: Tensor, resolution: int, smooth: bool = False) -> Tensor:
    """``[B, C, H, H]`` uint8 to another power of two: box average down; repeated or, if ``smooth``, bilinear up."""
    side = images.shape[-1]
    if resolution < side:
        means = torch.nn.functional.avg_pool2d(images.to(torch.float32), side // resolution)
        return means.add_(0.5).to(torch.uint8)
    if resolution == side:
        return images
    if smooth:
        larger = torch.nn.functional.interpolate(images.to(torch.float32), size=resolution, mode="bilinear")
        return larger.add_(0.5).to(torch.uint8)
    return images.repeat_interleave(resolution // side, -1).repeat_interleave(resolution // side, -2)
