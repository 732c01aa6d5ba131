"""Do masks tell where a latent acts? Faithfulness, area, overlap and stability; formulas in ``docs/where_metrics.md``.

Everything here takes masks ``[T, n, H, W]`` in [0, 1]: one per sample and latent, at the images' resolution.
Softmax masks, which are 1 in the sum over pixels, must be scaled to [0, 1] first.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wherewhat_pl.metrics.inputs import MetricWarning


@dataclass(frozen=True)
class Faithfulness:
    """How much of each latent's change falls inside its mask.

    Attributes:
        inside: ``[n]`` share of the change under the mask, 0 to 1; NaN for a latent that changes nothing.
        area: ``[n]`` the share that an even spread of each sample's change would have: the mask's mean, samples
            weighted by their change.
        lift: ``[n]`` ``(inside - area) / (1 - area)``: 1 if all change is inside, 0 for an even spread, negative if the
            mask lies elsewhere; 0 for a mask that covers everything; NaN as ``inside``.
    """

    inside: Tensor
    area: Tensor
    lift: Tensor


def traversal_change(
    generate: Callable[[Tensor], Tensor], base_codes: Tensor, low: float = -2.0, high: float = 2.0, points: int = 5
) -> Tensor:
    """How much each pixel changes under each latent's traversal.

    Sum over neighbouring points of the traversal of the absolute difference of the images, mean over channels.

    Args:
        generate: latents ``[B, n]`` -> images ``[B, C, H, W]``.
        base_codes: ``[T, n]``; each latent is traversed from ``low`` to ``high``, the others as they are here.
        low, high: first and last value.
        points: at least 2, ends included.

    Returns:
        ``[T, n, H, W]``, in the images' units.

    Raises:
        ValueError: fewer than two points.
    """
    if points < 2:
        raise ValueError(f"traversal_change: a traversal needs two points or more, not {points}")
    axis = torch.linspace(low, high, points, device=base_codes.device, dtype=base_codes.dtype)
    changes = []
    with torch.no_grad():
        for k in range(base_codes.shape[1]):
            latents = base_codes.repeat_interleave(points, dim=0)
            latents[:, k] = axis.repeat(len(base_codes))
            images = generate(latents)
            steps = images.unflatten(0, (len(base_codes), points)).diff(dim=1).abs()  # [T, S - 1, C, H, W]
            changes.append(steps.mean(2).sum(1))
    return torch.stack(changes, dim=1)


def mask_faithfulness(changes: Tensor, masks: Tensor) -> Faithfulness:
    """Share of the images' change under each latent's traversal that falls inside the latent's mask.

    Args:
        changes: ``[T, n, H, W]``, at least 0, from :func:`traversal_change`.
        masks: the same shape, in [0, 1].

    Returns:
        :class:`Faithfulness`; latents that change nothing (or whose changes are not finite) are NaN, with a warning.

    Raises:
        ValueError: shapes that differ, or masks outside [0, 1].
    """
    _check(masks)
    if changes.shape != masks.shape:
        raise ValueError(f"mask_faithfulness: changes {list(changes.shape)} and masks {list(masks.shape)} differ")
    changes, masks = changes.double(), masks.double()
    total = changes.sum((0, 2, 3))
    undefined = ~(total > 0) | ~total.isfinite()
    if undefined.any():
        which = ", ".join(map(str, undefined.nonzero().flatten().tolist()))
        message = f"mask_faithfulness: no change under latents {which}: undefined there"
        warnings.warn(message, MetricWarning, stacklevel=2)
    inside = torch.where(undefined, torch.nan, (changes * masks).sum((0, 2, 3)) / total)
    # The even spread is one of each sample's own change: samples count by how much they change.
    per_sample = changes.sum((2, 3))
    weighted = (per_sample * masks.mean((2, 3))).sum(0) / total
    area = torch.where(undefined, masks.mean((0, 2, 3)), weighted)
    lift = torch.where(area >= 1 - 1e-9, 0.0, (inside - area) / (1 - area).clamp_min(1e-12))
    return Faithfulness(inside, area, torch.where(undefined, torch.nan, lift))


def mask_area(masks: Tensor) -> Tensor:
    """Share of the image that each mask covers: masks ``[T, n, H, W]`` -> ``[n]`` in [0, 1]."""
    _check(masks)
    return masks.double().mean((0, 2, 3))


def mask_overlap(masks: Tensor) -> Tensor:
    """Soft intersection over union of the masks of each two latents.

    Args:
        masks: ``[T, n, H, W]`` in [0, 1].

    Returns:
        ``[n, n]`` in [0, 1]: ``sum min(M_i, M_j) / sum max(M_i, M_j)``, sums over samples and pixels; 1 on the
        diagonal, 0 for disjoint masks and with an empty one (two empty masks: 0).
    """
    _check(masks)
    flat = masks.double().transpose(0, 1).flatten(1)  # [n, T H W]
    sums = flat.sum(1)
    shared = torch.stack([torch.minimum(flat, row).sum(1) for row in flat])
    return _share(shared, sums[:, None] + sums - shared).fill_diagonal_(1.0)


def mean_overlap(masks: Tensor) -> float:
    """Mean of :func:`mask_overlap` over pairs of different latents; 0 for a single latent."""
    overlap = mask_overlap(masks)
    count = len(overlap)
    return float((overlap.sum() - count) / max(1, count * (count - 1)))


def mask_stability(masks: Tensor) -> Tensor:
    """How alike each latent's masks are across samples.

    Args:
        masks: ``[T, n, H, W]`` in [0, 1], T at least 2.

    Returns:
        ``[n]`` in [0, 1]: soft intersection over union of two samples' masks, mean over all pairs of samples; 1 for
        masks that never move, 0 if no two samples' masks meet (or all are empty).

    Raises:
        ValueError: fewer than two samples.
    """
    _check(masks)
    samples = len(masks)
    if samples < 2:
        raise ValueError("mask_stability: needs the masks of two samples or more")
    flat = masks.double().flatten(2)  # [T, n, H W]
    sums = flat.sum(2)
    total = torch.zeros_like(sums[0])
    for k in range(samples - 1):
        shared = torch.minimum(flat[k + 1 :], flat[k]).sum(2)
        total += _share(shared, sums[k + 1 :] + sums[k] - shared).sum(0)
    return total / (samples * (samples - 1) / 2)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp_min(1e-300), 0.0)


def _check(masks: Tensor) -> None:
    if masks.ndim != 4 or masks.numel() == 0:
        raise ValueError(f"masks: expected shape [samples, latents, H, W], got {list(masks.shape)}")
    low, high = float(masks.min()), float(masks.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise ValueError(f"masks: expected values in [0, 1], got {low:.3g} to {high:.3g}")
