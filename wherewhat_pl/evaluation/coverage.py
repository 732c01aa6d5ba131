"""How much of a synthetic set's geometry a generator draws: images in, a share out; for ``eval`` and the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from data_modules.synthetic import Geometry, SyntheticDataModule
from wherewhat_pl.metrics.functional import coverage, geometry_residuals, orthonormal_bases, placed_residuals
from wherewhat_pl.metrics.inputs import Score


def sample_size(geometry: Geometry) -> int:
    """Images to hold against the geometries: seconds on a CPU. Finding a place costs a hundred times more than none."""
    return 256 if geometry.placed else 4000


def geometry_coverage(data: SyntheticDataModule, generated: Iterable[Tensor], real: Iterable[Tensor]) -> Score:
    """:func:`wherewhat_pl.metrics.functional.coverage` of images of a data set.

    Args:
        data: set up.
        generated: batches ``[B, C, H, W]`` uint8 of generated images.
        real: the same of real ones.

    Returns:
        The share; ``factors`` is a dictionary by the geometry's factors.
    """
    geometry = data.geometry()
    residuals = _residuals_of(geometry)
    sides = []
    for batches in (generated, real):
        parts, left = [], sample_size(geometry)
        for batch in batches:
            parts.append(residuals(batch[:left, : data.channels].to(data.device).float() / 255))
            left -= len(parts[-1])
            if left <= 0:
                break
        sides.append(torch.cat(parts))
    share = coverage(sides[0], sides[1], geometry.sizes)
    share.parts["factors"] = dict(zip(geometry.names, share["factors"], strict=True))
    return share


def _residuals_of(geometry: Geometry) -> Callable[[Tensor], Tensor]:
    if geometry.placed:
        return lambda images: placed_residuals(images, geometry.maps[:, 0])
    bases = orthonormal_bases(geometry.maps.flatten(2))
    return lambda images: geometry_residuals(images, bases)
