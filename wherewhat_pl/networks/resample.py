"""The [1, 3, 3, 1] resampling filter, and the convolutions that change the resolution with it.

The filter is an autograd function whose backward is a filter again, so any order of derivative is one cheap depthwise
convolution. Left to autograd, the double backward of a grouped convolution (which R1 needs) loops over the channels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (1.0, 3.0, 3.0, 1.0)


def _kernel(like: Tensor, gain: float) -> Tensor:
    """``[C, 1, 4, 4]`` depthwise kernel for ``like``; symmetric, so correlation and convolution are the same."""
    return _plane(like.dtype, like.device, gain).expand(like.shape[1], 1, 4, 4)


@lru_cache  # made once per device: copying even four numbers there would make every call wait for the host
def _plane(dtype: torch.dtype, device: torch.device, gain: float) -> Tensor:
    taps = torch.tensor(TAPS, dtype=dtype, device=device)
    return torch.outer(taps, taps) * (gain / sum(TAPS) ** 2)


class _Filter(torch.autograd.Function):
    """Depthwise filter with stride; its derivative is :class:`_TransposedFilter`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, padding: int, gain: float, stride: int) -> Tensor:
        ctx.settings, ctx.has_bias = (padding, gain, stride), bias is not None
        bias = None if bias is None else bias.to(x.dtype)
        return F.conv2d(x, _kernel(x, gain), bias, padding=padding, stride=stride, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        for_bias = grads[0].sum(dim=(0, 2, 3)) if ctx.has_bias and ctx.needs_input_grad[1] else None
        return _TransposedFilter.apply(grads[0], *ctx.settings), for_bias, None, None, None


class _TransposedFilter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int, gain: float, stride: int) -> Tensor:
        ctx.settings = padding, gain, stride
        if stride == 1:  # the same filter with the complementary padding, on the faster kernel
            return F.conv2d(x, _kernel(x, gain), padding=len(TAPS) - 1 - padding, groups=x.shape[1])
        return F.conv_transpose2d(x, _kernel(x, gain), padding=padding, stride=stride, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Filter.apply(grads[0], None, *ctx.settings), None, None, None


def resample_filter(x: Tensor, padding: int, gain: float = 1.0, stride: int = 1, bias: Tensor | None = None) -> Tensor:
    """Filter every channel with the normalized, separable [1, 3, 3, 1] kernel.

    Args:
        x: ``[B, C, H, W]``; H and W even if ``stride`` is 2.
        padding: zeros on each side.
        gain: factor on the result.
        stride: 1 or 2.
        bias: ``[C]``, added to the result.

    Returns:
        ``[B, C, (H + 2 padding - 4) // stride + 1, ...]``, differentiable any number of times.
    """
    return _Filter.apply(x, bias, padding, gain, stride)  # type: ignore[no-any-return]


def conv_up(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Zeros between pixels, correlation, filter: ``[B, C, H, W]`` -> ``[B, O, 2H, 2W]``; weight ``[O, C, k, k]``."""
    x = F.conv_transpose2d(x, weight.flip(2, 3).transpose(0, 1), stride=2)
    return resample_filter(x, padding=(len(TAPS) - 1 - weight.shape[-1]) // 2 + 1, gain=4.0, bias=bias)


def conv_down(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Filter, then correlation with stride 2: ``[B, C, H, W]`` -> ``[B, O, H/2, W/2]``; weight ``[O, C, k, k]``."""
    if weight.shape[-1] == 1:  # only the filtered pixels that the 1x1 convolution reads are computed
        return F.conv2d(resample_filter(x, padding=1, stride=2), weight, bias)
    return F.conv2d(resample_filter(x, padding=(len(TAPS) - 3 + weight.shape[-1]) // 2), weight, bias, stride=2)
