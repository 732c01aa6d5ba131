"""Layers with equalized learning rate, and the small operations both networks share.

Weights are drawn from N(0, 1) and scaled by 1 / sqrt(fan_in) when they are used. The gain sqrt(2) that follows a leaky
ReLU is folded into the scale of what precedes it, since leaky_relu(a x) = a leaky_relu(x) for a > 0: one pass less.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhat_pl.networks.resample import conv_down, conv_up

ACTIVATION_GAIN = math.sqrt(2.0)
SLOPE = 0.2


def in_float32(x: Tensor) -> AbstractContextManager[None]:
    """A region in which autocast leaves float32 alone; nothing on devices that have no autocast (meta)."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def at_least_float32(x: Tensor) -> Tensor:
    """Itself, or in float32 what is in a half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU 0.2 in place of ``x``; the gain sqrt(2) has been applied to it already."""
    return F.leaky_relu_(x, SLOPE)


class EqualizedLinear(nn.Module):
    """Fully connected layer, optionally followed by the activation.

    Args:
        inputs: number of input features.
        outputs: number of output features.
        bias: whether to add one; starts at 0.
        activation: leaky ReLU 0.2 with gain sqrt(2), or nothing.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, activation: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.activation = activation
        self.gain = ACTIVATION_GAIN if activation else 1.0
        self.scale = self.gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias if self.bias is None or self.gain == 1.0 else self.bias * self.gain
        x = F.linear(x, self.weight * self.scale, bias)
        return activate(x) if self.activation else x


class EqualizedConv2d(nn.Module):
    """Convolution that keeps, doubles or halves the resolution, optionally with noise and activation.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        kernel: side of the square kernel, odd.
        mode: ``"id"``, ``"up"`` or ``"down"``.
        bias: whether to add one; starts at 0.
        activation: leaky ReLU 0.2 with gain sqrt(2), or nothing.
        gain: positive factor on the result.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        mode: str = "id",
        bias: bool = True,
        activation: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.mode, self.activation = mode, activation
        self.gain = gain * (ACTIVATION_GAIN if activation else 1.0)
        self.scale = self.gain / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        weight = self.weight * self.scale
        bias = self.bias if self.bias is None or self.gain == 1.0 else self.bias * self.gain
        if self.mode == "up":
            x = conv_up(x, weight, bias)
        elif self.mode == "down":
            x = conv_down(x, weight, bias)
        else:
            x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        if noise is not None:
            x = x + noise * self.gain
        return activate(x) if self.activation else x


def instance_norm(x: Tensor) -> Tensor:
    """Zero mean and unit mean square over H and W, no affine, eps 1e-8, at least in float32: ``[B, C, H, W]``."""
    with in_float32(x):
        return F.instance_norm(at_least_float32(x), eps=1e-8)


def append_minibatch_stddev(x: Tensor, group: int = 4, batches: int = 1) -> Tensor:
    """Append the standard deviation within groups of the batch as one more channel (Karras et al. 2018).

    Sample i belongs to group ``i mod (B / group)``. If ``group`` does not divide the batch, the largest smaller
    number that does is used, so any batch size works.

    Args:
        x: ``[B, C, H, W]``.
        group: samples per group.
        batches: batches of equal size that ``x`` holds one after another; no group has samples of two of them.

    Returns:
        ``[B, C + 1, H, W]``.
    """
    batch, _, height, width = x.shape
    size = batch // batches
    group = next(count for count in range(min(group, size), 0, -1) if size % count == 0)
    grouped = at_least_float32(x).unflatten(0, (batches, group, size // group))  # a view in any memory format
    # Not var(): over a short first dimension it takes a CPU several times as long as its own definition.
    variance = (grouped - grouped.mean(dim=1, keepdim=True)).square().mean(dim=1)  # [batches, B / group, C, H, W]
    deviation = (variance + 1e-8).sqrt().mean(dim=(2, 3, 4))
    feature = deviation[:, None].expand(-1, group, -1).reshape(batch, 1, 1, 1)
    return torch.cat([x, feature.to(x.dtype).expand(batch, 1, height, width)], dim=1)
