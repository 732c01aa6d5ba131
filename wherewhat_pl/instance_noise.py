"""Smooth noise on all that the discriminator sees (instance noise, Sønderby et al. 2017, but smooth).

A set of rendered images has few colours, G's latents are continuous: a D that reads a surface's hue exactly tells fakes
by it however well they are drawn, and wins by what G cannot learn. Noise as smooth as a surface hides the hue's last
digits and leaves edges, so shapes, alone. Reals and fakes get the same kind of noise, so where G draws as the set does,
D sees no difference, with it or without (docs/results.md has what it did).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

GRID = 4  #: values along a side, between which the noise is interpolated


def add_smooth_noise(images: Tensor, std: float) -> Tensor:
    """``[B, C, H, W]`` plus a field of its own for every image and channel.

    The field is the sum of a normal value that is the same everywhere and of ``GRID`` x ``GRID`` normal values,
    interpolated bilinearly; each of them has the standard deviation ``std``, in units of the images' range of -1 to 1.
    """
    shape = images.shape[:2]
    grid = torch.randn(*shape, GRID, GRID, device=images.device, dtype=images.dtype)
    shift = torch.randn(*shape, 1, 1, device=images.device, dtype=images.dtype)
    field = interpolate(grid + shift, size=images.shape[2:], mode="bilinear", align_corners=True)
    return images + std * field
