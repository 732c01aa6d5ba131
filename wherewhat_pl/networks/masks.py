"""Spatial constriction: each latent's style is blended in under a mask of its own (Zhu et al. 2021, section 3.1).

The published module blends the m latents of a level one after another,

    y_k = x_hat (scale_k + 1) + shift_k,    x <- x (1 - M_k) + y_k M_k,    k = 1 .. m.

Unrolled, with w_k = M_k prod_{j>k} (1 - M_j) and K_0 = prod_j (1 - M_j), that is exactly

    x_out = x K_0 + x_hat sum_k (scale_k + 1) w_k + sum_k shift_k w_k,

and with the instance norm x_hat = (x - mean) r put into the styles, for each channel,

    x_out = x (K_0 + sum_k r (scale_k + 1) w_k) + sum_k (shift_k - mean r (scale_k + 1)) w_k:

two products of [C x m] and [m x HW] matrices and one pass over x, however many latents there are.

A kind of mask is one subclass of :class:`SpatialConstriction`, known to module lists and to ``model.mask`` from the
moment it is defined, here or in anybody's own file (docs/extending.md).
"""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhat_pl.networks.layers import EqualizedConv2d, EqualizedLinear, at_least_float32, in_float32


def rectangle_masks(logits: Tensor) -> Tensor:
    """Soft rectangles from four monotone ramps each, averaged over a latent's rectangles.

    Args:
        logits: ``[B, m, s, 4, H]``; the four are row start, row end, column start and column end.

    Returns:
        ``[B, m, H, H]`` float32 in [0, 1].
    """
    ramps = at_least_float32(logits).softmax(-1).cumsum(-1)
    row_start, row_end, column_start, column_end = ramps.unbind(3)  # [B, m, s, H] each
    rows, columns = row_start * (1 - row_end), column_start * (1 - column_end)
    return rows.transpose(2, 3) @ columns / logits.shape[2]


def blend_styles(x: Tensor, masks: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
    """All latents of a level blended in order, in closed form.

    Args:
        x: ``[B, C, H, W]``, or ``[1, C, H, W]`` for features that all samples share.
        masks: ``[B, m, H, W]`` in [0, 1], or ``[1, m, H, W]``.
        scales: ``[B, m, C]``, to which 1 is added.
        shifts: ``[B, m, C]``.

    Returns:
        ``[B, C, H, W]``.
    """
    kept = torch.ones_like(masks[:, :1])
    weights = []
    for k in reversed(range(masks.shape[1])):  # cumprod's backward would ask the host whether there are zeros
        mask = masks[:, k : k + 1]
        weights.append(mask * kept)
        kept = kept * (1 - mask)
    weight = torch.cat([*weights[::-1], kept], dim=1).flatten(2).transpose(1, 2)  # [B, HW, m + 1]
    mean, inverse = instance_statistics(x)  # [B, 1, C] each
    scales = (scales + 1) * inverse
    shifts = F.pad(shifts - scales * mean, (0, 0, 0, 1))
    scales = F.pad(scales, (0, 0, 0, 1), value=1.0)  # what no mask covers is kept
    # Pixels before channels, so that the results lie in memory as channels_last images do.
    scale, shift = ((weight @ styles).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2) for styles in (scales, shifts))
    return torch.addcmul(shift, x, scale)


def instance_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over H and W, and 1 / root mean square of what is left: ``[B, C, H, W]`` -> ``[B, 1, C]`` each."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = (x - mean).square().mean(dim=(2, 3))  # on a CPU twice as fast as var()
    return mean.flatten(1)[:, None], (variance + 1e-8).rsqrt()[:, None]


MASK_MODULES: dict[str, type[SpatialConstriction]] = {}  #: kinds of masks by their word in a module list


class SpatialConstriction(nn.Module):
    """m latents, each acting under its own mask; subclasses say where the masks come from, and what they are called.

    Args:
        channels: C of the input, which is kept.
        num_latents: m.
    """

    kind: ClassVar[str]  #: as in ``model.mask``, e.g. ``"softmax"``
    module: ClassVar[str]  #: word in a module list; begins with ``C_``, as all modules that take latents
    grammar: ClassVar[str] = r"\d+"  #: pattern of the arguments behind the word; the last one is m

    def __init_subclass__(cls) -> None:
        """Register a kind; raises ``TypeError`` if its names cannot be used or are another's."""
        super().__init_subclass__()
        if "module" not in vars(cls):  # what only shares code between kinds
            return
        if not cls.module.startswith("C_") or "-" in cls.module:
            raise TypeError(f"{cls.__qualname__}.module = '{cls.module}': must begin with C_ and hold no '-'")
        this = (cls.__module__, cls.__qualname__)  # defined again where a notebook's cell is run again
        others = [other for other in MASK_MODULES.values() if (other.__module__, other.__qualname__) != this]
        taken = {"C_global": "ModulatedConv", "none": "ModulatedConv"}
        taken |= {name: other.__qualname__ for other in others for name in (other.module, other.kind)}
        for name in {cls.module, cls.kind} & taken.keys():
            raise TypeError(f"{cls.__qualname__}: '{name}' is the name of {taken[name]} already")
        MASK_MODULES[cls.module] = cls

    @classmethod
    def build(cls, channels: int, resolution: int, arguments: tuple[str, ...]) -> Self:
        """The module for an input ``[B, channels, resolution, resolution]``, from what stands in the module list."""
        return cls(channels, int(arguments[-1]))

    @classmethod
    def instead_of_rectangles(cls, num_rectangles: int, num_latents: int) -> str:
        """What ``model.mask`` writes into the module list in place of ``C_spgroup-s-m``."""
        return f"{cls.module}-{num_latents}"

    @staticmethod
    def scale(masks: Tensor) -> Tensor:
        """Masks ``[B, m, H, H]`` as they act -> the same to be looked at: in [0, 1], and not small by construction."""
        return masks

    def published_masks(self) -> dict[str, Tensor]:
        """What the published code calls the variables that make the masks; raises ``ValueError`` if it has none."""
        raise ValueError(f"{self.module}: was never published, so its variables have no published names")

    def __init__(self, channels: int, num_latents: int) -> None:
        super().__init__()
        self.num_latents = num_latents
        # one linear layer per latent from a single number (fan_in 1, so its equalized scale is 1), stacked
        self.style_weight = nn.Parameter(torch.randn(num_latents, 2 * channels))
        self.style_bias = nn.Parameter(torch.zeros(num_latents, 2 * channels))

    def masks(self, x: Tensor) -> Tensor:
        """``[B, C, H, H]`` -> ``[B, m, H, H]`` float32 in [0, 1]."""
        raise NotImplementedError

    def forward(self, x: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[B or 1, C, H, H]``, latents ``[B, m]`` -> blended features, masks ``[B or 1, m, H, H]``."""
        with in_float32(x):
            features = at_least_float32(x)
            masks = self.masks(features)
            styles = at_least_float32(latents)[:, :, None] * self.style_weight + self.style_bias  # [B, m, 2C]
            scales, shifts = styles.chunk(2, dim=2)
            return blend_styles(features, masks, scales, shifts).to(x.dtype), masks


class RectangleConstriction(SpatialConstriction):
    """Masks that are means of soft rectangles, one set of rectangles per latent (``C_spgroup-s-m``).

    Args:
        channels, num_latents: as of :class:`SpatialConstriction`.
        resolution: H, the side of the input in pixels.
        num_rectangles: s, rectangles per latent.
    """

    kind, module, grammar = "rectangles", "C_spgroup", r"\d+-\d+"

    def __init__(self, channels: int, num_latents: int, resolution: int, num_rectangles: int) -> None:
        super().__init__(channels, num_latents)
        self.shape = (num_latents, num_rectangles, 4, resolution)
        self.ramps = EqualizedLinear(channels, math.prod(self.shape), bias=False)

    @classmethod
    def build(cls, channels: int, resolution: int, arguments: tuple[str, ...]) -> Self:
        num_rectangles, num_latents = map(int, arguments)
        return cls(channels, num_latents, resolution, num_rectangles)

    @classmethod
    def instead_of_rectangles(cls, num_rectangles: int, num_latents: int) -> str:
        return f"{cls.module}-{num_rectangles}-{num_latents}"

    def published_masks(self) -> dict[str, Tensor]:
        return {"Att_spatial/weight": self.ramps.weight}

    def masks(self, x: Tensor) -> Tensor:
        return rectangle_masks(self.ramps(x.mean(dim=(2, 3))).unflatten(1, self.shape))


class SoftmaxConstriction(SpatialConstriction):
    """Masks that are softmaxes over all pixels of a 3x3 convolution: the ablation ``C_spgroup_sm-m``."""

    kind, module = "softmax", "C_spgroup_sm"

    def __init__(self, channels: int, num_latents: int) -> None:
        super().__init__(channels, num_latents)
        self.logits = EqualizedConv2d(channels, num_latents, kernel=3, bias=False)

    @staticmethod
    def scale(masks: Tensor) -> Tensor:
        return masks / masks.amax((2, 3), keepdim=True)  # they sum to 1 over the picture

    def published_masks(self) -> dict[str, Tensor]:
        return {"Att_spatial/weight": self.logits.weight}

    def masks(self, x: Tensor) -> Tensor:
        return self.logits(x).flatten(2).softmax(-1).unflatten(2, x.shape[2:])


def match_size(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks ``[T, n, h, w]`` at the images' size ``(H, W)``: nearest pixel for whole factors, bilinear otherwise."""
    height, width = size
    if masks.shape[2:] == torch.Size(size):
        return masks
    whole = height % masks.shape[2] == 0 and width % masks.shape[3] == 0
    return F.interpolate(masks, size, mode="nearest" if whole else "bilinear")
