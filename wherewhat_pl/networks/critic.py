"""StyleGAN2's residual discriminator; with one output it is D, with n outputs the recognizer Q (Karras et al. 2020)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.layers import (
    EqualizedConv2d,
    EqualizedLinear,
    append_minibatch_stddev,
    at_least_float32,
    in_float32,
)


class ResidualDown(nn.Module):
    """Two 3x3 convolutions, the second halving the resolution, and a 1x1 skip: ``[B, C, H, W] -> [B, O, H/2, W/2]``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = EqualizedConv2d(inputs, inputs, 3, activation=True)
        half = math.sqrt(0.5)  # the sum is divided by sqrt(2): in the weights, where it costs no pass
        self.conv1 = EqualizedConv2d(inputs, outputs, 3, mode="down", activation=True, gain=half)
        self.skip = EqualizedConv2d(inputs, outputs, 1, mode="down", bias=False, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x).add_(self.conv1(self.conv0(x)))  # type: ignore[no-any-return]


class Critic(nn.Module):
    """Residual network from images to ``outputs`` numbers.

    Args:
        resolution: side of the images, a power of two, at least 8.
        channels: of the images, 1 or 3.
        outputs: 1 for a discriminator, the number of latents for a recognizer.
        feature_maps: channels per stage.
    """

    def __init__(self, resolution: int, channels: int, outputs: int, feature_maps: FeatureMaps) -> None:
        super().__init__()
        self.feature_maps = feature_maps
        levels, nf = int(math.log2(resolution)), feature_maps.at
        self.from_rgb = EqualizedConv2d(channels, nf(levels - 1), 1, activation=True)
        self.blocks = nn.Sequential(*(ResidualDown(nf(r - 1), nf(r - 2)) for r in range(levels, 2, -1)))
        self.conv = EqualizedConv2d(nf(1) + 1, nf(1), 3, activation=True)
        self.dense = EqualizedLinear(nf(1) * 4 * 4, nf(0), activation=True)
        self.output = EqualizedLinear(nf(0), outputs)

    def forward(self, images: Tensor, batches: int = 1) -> Tensor:
        """Images ``[B, C, H, W]`` -> ``[B, outputs]`` float32; several ``batches`` one after another stay apart."""
        x = self.blocks(self.from_rgb(images))
        x = self.conv(append_minibatch_stddev(x, batches=batches))
        x = self.dense(x.flatten(1))
        with in_float32(x):  # scores and codes enter the losses in float32
            return self.output(at_least_float32(x))
