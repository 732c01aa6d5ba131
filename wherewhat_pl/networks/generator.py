"""The generator: a list of modules, written as the published code writes it, through which the latents enter in order.

Const-C              learned constant, C x 4 x 4
Conv-{id,up,down}-k      k 3x3 convolutions (resampled)
ResConv-{id,up,down}-k   the same, plus a skip: naive resampling and a 1x1 convolution
Noise-k              k 3x3 convolutions with noise
C_global-m           m latents modulate a 3x3 convolution
C_spgroup-s-m        m latents under masks of s rectangles each
C_spgroup_sm-m       m latents under softmax masks; further kinds of masks bring words of their own (masks.py)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.layers import ACTIVATION_GAIN, EqualizedConv2d, EqualizedLinear, activate, at_least_float32
from wherewhat_pl.networks.masks import MASK_MODULES, SpatialConstriction
from wherewhat_pl.networks.module_lists import START_RESOLUTION, ModuleSpec


class Convs(nn.Module):
    """k times a 3x3 convolution with bias and activation (``Conv-mode-k``)."""

    def __init__(self, inputs: int, outputs: int, mode: str, repeats: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *(EqualizedConv2d(outputs if j else inputs, outputs, 3, mode, activation=True) for j in range(repeats))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)  # type: ignore[no-any-return]


class ResidualConvs(Convs):
    """The same plus a skip of naive resampling and a 1x1 convolution, not rescaled (``ResConv-mode-k``)."""

    def __init__(self, inputs: int, outputs: int, mode: str, repeats: int) -> None:
        super().__init__(inputs, outputs, mode, repeats)
        self.mode, self.repeats = mode, repeats
        self.skip = EqualizedConv2d(inputs, outputs, 1, activation=True)

    def forward(self, x: Tensor) -> Tensor:
        # A 1x1 convolution commutes with repeating pixels: before it, the convolution costs a quarter.
        skip = x
        for _ in range(self.repeats if self.mode == "down" else 0):
            skip = F.avg_pool2d(skip, 2)
        skip = self.skip(skip)
        for _ in range(self.repeats if self.mode == "up" else 0):
            skip = F.interpolate(skip, scale_factor=2.0, mode="nearest")
        return self.convs(x) + skip  # type: ignore[no-any-return]


class NoisyConv(nn.Module):
    """3x3 convolution plus a noise map times a learned scalar: fresh maps in training, a fixed buffer in evaluation."""

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, resolution: int) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(inputs, outputs, 3, activation=True)
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.randn_like(x[:, :1]) if self.training else self.noise.to(x.dtype)
        return self.conv(x, noise * self.strength.to(x.dtype))  # type: ignore[no-any-return]


class ModulatedConv(nn.Module):
    """m latents scale the input channels of a demodulated 3x3 convolution (``C_global-m``; Karras et al. 2020)."""

    def __init__(self, inputs: int, outputs: int, num_latents: int) -> None:
        super().__init__()
        self.num_latents = num_latents
        self.conv = EqualizedConv2d(inputs, outputs, 3)
        self.style = EqualizedLinear(num_latents, inputs)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        style = at_least_float32(self.style(latents)) + 1  # [B, C]
        weight = self.conv.weight * self.conv.scale
        power = weight.square().sum(dim=(2, 3))  # [O, C]
        demodulation = (style.square() @ power.T + 1e-8).rsqrt()  # [B, O]
        x = F.conv2d(x * style.to(x.dtype)[:, :, None, None], weight, padding=1)
        assert self.conv.bias is not None
        bias, factor = self.conv.bias * ACTIVATION_GAIN, demodulation * ACTIVATION_GAIN
        return activate(torch.addcmul(bias[:, None, None], x, factor[:, :, None, None]))


class Generator(nn.Module):
    """Latents to images; no mapping network, no tanh.

    Args:
        modules: the list, ``Const-C`` first.
        channels: of the images.
        feature_maps: channels per stage; module i is at stage ``i // feature_map_scale``.
        feature_map_scale: modules per stage (``nf_scale`` in the published code).

    Attributes:
        num_latents: n, the length of a latent vector.
        resolution: side of the images in pixels.
    """

    def __init__(self, modules: list[str], channels: int, feature_maps: FeatureMaps, feature_map_scale: int) -> None:
        super().__init__()
        self.specs = [ModuleSpec.parse(text) for text in modules]
        words = [spec.kind for spec in self.specs]
        if words[:1] != ["Const"] or words.count("Const") > 1:
            raise ValueError("the generator's module list must begin with Const-C, and hold it once")
        width = int(self.specs[0].arguments[0])
        self.const = nn.Parameter(torch.randn(1, width, START_RESOLUTION, START_RESOLUTION))
        self.blocks, self.resolution = nn.ModuleList(), START_RESOLUTION
        for i, spec in enumerate(self.specs[1:], start=1):
            outputs = feature_maps.at(i // feature_map_scale)
            block, width, self.resolution = self._build(spec, width, outputs, self.resolution)
            self.blocks.append(block)
        self.to_rgb = EqualizedConv2d(width, channels, 1)
        self.latents_of_modules = [spec.num_latents for spec in self.specs if spec.num_latents]  # in their order
        self.num_latents = sum(self.latents_of_modules)
        self.feature_maps, self.feature_map_scale = feature_maps, feature_map_scale

    @property
    def masked_latents(self) -> list[int]:
        """Positions of the latents that act under masks, in the order of the masks."""
        kinds = [spec.kind for spec in self.specs for _ in range(spec.num_latents)]  # of each latent's module
        return [k for k, kind in enumerate(kinds) if kind in MASK_MODULES]

    def scaled_masks(self, masks: list[Tensor]) -> list[Tensor]:
        """Masks as :meth:`forward` returns them, each made fit to look at by its module's own kind."""
        modules = (block for block in self.blocks if isinstance(block, SpatialConstriction))
        return [module.scale(mask) for module, mask in zip(modules, masks, strict=True)]

    @staticmethod
    def _build(spec: ModuleSpec, width: int, outputs: int, resolution: int) -> tuple[nn.Module, int, int]:
        """A module, and the channels and resolution after it."""
        if spec.kind in MASK_MODULES:
            return MASK_MODULES[spec.kind].build(width, resolution, spec.arguments), width, resolution
        last = int(spec.arguments[-1])
        if spec.kind == "C_global":
            return ModulatedConv(width, outputs, last), outputs, resolution
        if spec.kind == "Noise":
            convs = (NoisyConv(outputs if j else width, outputs, resolution) for j in range(last))
            return nn.Sequential(*convs), outputs, resolution
        mode = spec.arguments[0]
        block = (Convs if spec.kind == "Conv" else ResidualConvs)(width, outputs, mode, last)
        resolution = {"id": resolution, "up": resolution << last, "down": resolution >> last}[mode]
        if resolution < START_RESOLUTION:
            raise ValueError(f"module {spec}: the resolution would fall below {START_RESOLUTION}")
        return block, outputs, resolution

    def forward(self, latents: Tensor, return_masks: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Draw images.

        Args:
            latents: ``[B, n]``.
            return_masks: also return the masks.

        Returns:
            Images ``[B, C, H, W]``, meant to lie in [-1, 1] but not clipped; with ``return_masks`` also a list of
            one tensor ``[B, m, h, h]`` in [0, 1] per module with masks, at that module's own resolution.
        """
        x: Tensor = self.const
        masks: list[Tensor] = []
        for spec, block, part in zip(
            self.specs[1:], self.blocks, latents.split([s.num_latents for s in self.specs[1:]], dim=1), strict=True
        ):
            if spec.kind == "Noise" and len(x) != len(latents):
                x = x.expand(len(latents), -1, -1, -1)
            # Until styles or noise enter, all samples are the same: one is computed.
            if isinstance(block, SpatialConstriction):
                x, mask = block(x, part)
                masks.append(mask.expand(len(latents), -1, -1, -1))
            elif isinstance(block, ModulatedConv):
                x = block(x, part)
            else:
                x = block(x)
        images = self.to_rgb(x.expand(len(latents), -1, -1, -1))
        return (images, masks) if return_masks else images
