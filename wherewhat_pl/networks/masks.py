"""Spatial constriction: each latent's style is blended in under a mask of its own (Zhu et al. 2021, section 3.1).

The published module blends the m latents of a level one after another,

    y_k = x_hat (scale_k + 1) + shift_k,    x <- x (1 - M_k) + y_k M_k,    k = 1 .. m.

Unrolled, with w_k = M_k prod_{j>k} (1 - M_j) and K_0 = prod_j (1 - M_j), that is exactly

    x_out = x K_0 + x_hat sum_k (scale_k + 1) w_k + sum_k shift_k w_k,

two products of [C x m] and [m x HW] matrices and three passes over x, however many latents there are.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhat_pl.networks.layers import EqualizedConv2d, EqualizedLinear, in_float32, instance_norm


def rectangle_masks(logits: Tensor) -> Tensor:
    """Soft rectangles from four monotone ramps each, averaged over a latent's rectangles.

    Args:
        logits: ``[B, m, s, 4, H]``; the four are row start, row end, column start and column end.

    Returns:
        ``[B, m, H, H]`` float32 in [0, 1].
    """
    ramps = logits.float().softmax(-1).cumsum(-1)
    row_start, row_end, column_start, column_end = ramps.unbind(3)  # [B, m, s, H] each
    rows, columns = row_start * (1 - row_end), column_start * (1 - column_end)
    return rows.transpose(2, 3) @ columns / logits.shape[2]


def blend_styles(x: Tensor, masks: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
    """All latents of a level blended in order, in closed form.

    Args:
        x: ``[B, C, H, W]``.
        masks: ``[B, m, H, W]`` in [0, 1].
        scales: ``[B, m, C]``, to which 1 is added.
        shifts: ``[B, m, C]``.

    Returns:
        ``[B, C, H, W]``.
    """
    kept = torch.ones_like(masks[:, 0])
    weights = []
    for mask in reversed(masks.unbind(1)):  # cumprod would do, but its backward asks the host whether there are zeros
        weights.append(mask * kept)
        kept = kept * (1 - mask)
    weight = torch.stack(weights[::-1], dim=1).flatten(2)  # [B, m, HW]
    styles = torch.cat([scales + 1, shifts], dim=2).transpose(1, 2)  # [B, 2C, m]
    scale, shift = (styles @ weight).unflatten(2, x.shape[2:]).chunk(2, dim=1)  # [B, C, H, W] each
    return x * kept[:, None] + instance_norm(x) * scale + shift


class SpatialConstriction(nn.Module):
    """m latents, each acting under its own mask; subclasses say where the masks come from.

    Args:
        channels: C of the input, which is kept.
        num_latents: m.
    """

    def __init__(self, channels: int, num_latents: int) -> None:
        super().__init__()
        self.num_latents = num_latents
        # one linear layer per latent from a single number (fan_in 1, so its equalized scale is 1), stacked
        self.style_weight = nn.Parameter(torch.randn(num_latents, 2 * channels))
        self.style_bias = nn.Parameter(torch.zeros(num_latents, 2 * channels))

    def masks(self, x: Tensor) -> Tensor:
        """``[B, C, H, H]`` -> ``[B, m, H, H]`` float32 in [0, 1]."""
        raise NotImplementedError

    def scale(self, masks: Tensor) -> Tensor:
        """Masks ``[B, m, H, H]`` as they are looked at and measured: their own strongest value at most 1."""
        return masks

    def forward(self, x: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[B, C, H, H]`` and latents ``[B, m]`` -> blended features and masks ``[B, m, H, H]``."""
        with in_float32(x):
            features = x.float()
            masks = self.masks(features)
            styles = latents.float()[:, :, None] * self.style_weight + self.style_bias  # [B, m, 2C]
            scales, shifts = styles.chunk(2, dim=2)
            return blend_styles(features, masks, scales, shifts).to(x.dtype), masks


class RectangleConstriction(SpatialConstriction):
    """Masks that are means of soft rectangles, one set of rectangles per latent (``C_spgroup-s-m``).

    Args:
        channels: C of the input.
        num_latents: m.
        resolution: H, the side of the input in pixels.
        num_rectangles: s, rectangles per latent.
    """

    def __init__(self, channels: int, num_latents: int, resolution: int, num_rectangles: int) -> None:
        super().__init__(channels, num_latents)
        self.shape = (num_latents, num_rectangles, 4, resolution)
        self.ramps = EqualizedLinear(channels, math.prod(self.shape), bias=False)

    def masks(self, x: Tensor) -> Tensor:
        return rectangle_masks(self.ramps(x.mean(dim=(2, 3))).unflatten(1, self.shape))


class SoftmaxConstriction(SpatialConstriction):
    """Masks that are softmaxes over all pixels of a 3x3 convolution: the ablation ``C_spgroup_sm-m``.

    Args:
        channels: C of the input.
        num_latents: m.
    """

    def __init__(self, channels: int, num_latents: int) -> None:
        super().__init__(channels, num_latents)
        self.logits = EqualizedConv2d(channels, num_latents, kernel=3, bias=False)

    def scale(self, masks: Tensor) -> Tensor:
        return masks / masks.amax((2, 3), keepdim=True)

    def masks(self, x: Tensor) -> Tensor:
        return self.logits(x).flatten(2).softmax(-1).unflatten(2, x.shape[2:])


def match_size(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks ``[T, n, h, w]`` at the images' size ``(H, W)``: nearest pixel for whole factors, bilinear otherwise."""
    height, width = size
    if masks.shape[2:] == torch.Size(size):
        return masks
    whole = height % masks.shape[2] == 0 and width % masks.shape[3] == 0
    return F.interpolate(masks, size, mode="nearest") if whole else F.interpolate(masks, size, mode="bilinear")
