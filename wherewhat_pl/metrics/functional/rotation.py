"""Accumulated perceptual distance under rotation of two latent dimensions.

If two dimensions are disentangled, walking along them is the shortest way: turned away from the axes, steps change two
things at once and add up to more. The curve over the angle shows it without labels (Zhu et al. 2021, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wherewhat_pl.metrics.functional.tpl import Distance, Generate, TPLSettings, base_codes_of, shrink_for_distance


@dataclass(frozen=True)
class RotationResult:
    """Accumulated distance against the angle by which two dimensions are rotated.

    Attributes:
        degrees: ``[A]`` from -180 to 180.
        mean, std: ``[A]`` accumulated distance, average and spread (population) over the seeds.
        pair: the two dimensions.
        distance: name of the perceptual distance.
    """

    degrees: Tensor
    mean: Tensor
    std: Tensor
    pair: tuple[int, int]
    distance: str

    @property
    def along(self) -> tuple[float, float]:
        """Accumulated distance along each of the two dimensions themselves, at 0 and at 90 degrees."""
        first, second = (float(self.mean[self.degrees == angle].mean()) for angle in (0, 90))
        return first, second

    def alignment(self) -> float:
        """How deep the minima at multiples of 90 degrees are: mean over all angles / mean at those angles - 1.

        Above 0 if the accumulated distance is smallest along the axes themselves, 0 if all angles are alike.
        """
        once = self.degrees < 180  # -180 and 180 degrees are the same: neither dimension may count more than the other
        mean, at_axes = self.mean[once], self.mean[once & ((self.degrees % 90).abs() < 1e-6)].mean()
        return float(mean.mean() / at_axes.clamp_min(1e-12) - 1) if float(mean.max()) > 0 else 0.0


def rotation_distance(
    generate: Generate, num_latents: int, distance: Distance, pair: tuple[int, int], **settings: Any
) -> RotationResult:
    """Accumulated perceptual distance on a rotated grid of two dimensions; see :func:`rotation_distances`."""
    return rotation_distances(generate, num_latents, distance, [pair], **settings)[0]


def rotation_distances(
    generate: Generate,
    num_latents: int,
    distance: Distance,
    pairs: Sequence[tuple[int, int]],
    *,
    grid: int = 14,
    bound: float = 4.0,
    step_degrees: int = 3,
    seeds: Sequence[int] = (0,),
    batch: int = 64,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[RotationResult]:
    """Accumulated perceptual distance on rotated grids of pairs of dimensions (Zhu et al. 2021, section 4).

    A ``grid`` x ``grid`` lattice over [-bound, bound]^2 in the plane of the two dimensions is rotated about 0;
    distances between neighbours along each row are added up. Rotated by another 90 degrees the lattice has the same
    points, with rows and columns exchanged, and by 180 degrees the same rows backwards: only a quarter of the angles is
    drawn, and each image's features serve its row and its column. Different pairs have no points in common.

    Args:
        generate: latents ``[B, num_latents]`` on ``device`` -> images in [-1, 1], as for TPL.
        num_latents: n.
        distance: of pairs of images.
        pairs: of two different dimensions each.
        grid: points per side, at least 2.
        bound: half the side of the lattice.
        step_degrees: between angles, a divisor of 90.
        seeds: one random code each, N(0, I), for the other dimensions.
        batch: images at a time, a row of the lattice at least.
        device: of the latents.
        progress: called with images done and images to do.

    Returns:
        A :class:`RotationResult` for each pair, for angles from -180 to 180 degrees.

    Raises:
        ValueError: a pair, a grid or a step that does not fit.
    """
    for i, j in pairs:
        if i == j or not (0 <= i < num_latents and 0 <= j < num_latents):
            raise ValueError(f"rotation: {(i, j)} are not two different dimensions of {num_latents}")
    if step_degrees < 1 or 90 % step_degrees:
        raise ValueError(f"rotation: a step of {step_degrees} degrees does not divide 90")
    if grid < 2:
        raise ValueError(f"rotation: a grid of {grid} points per side has no neighbours")
    angles = torch.arange(0, 90, step_degrees)
    codes = torch.cat([base_codes_of(TPLSettings(base_codes=1, seed=seed), num_latents) for seed in seeds])
    side, first, second = torch.linspace(-bound, bound, grid), *torch.tensor(pairs).T
    cosine, sine = (angles * (math.pi / 180)).cos(), (angles * (math.pi / 180)).sin()
    shape = len(pairs), len(codes), len(angles), grid  # of all rows
    rows = math.prod(shape)

    def latents(start: int, stop: int) -> Tensor:
        pair, seed, angle, row, column = torch.unravel_index(torch.arange(start, stop), (*shape, grid))
        own, place, x, y = codes[seed].clone(), torch.arange(stop - start), side[column], side[row]
        own[place, first[pair]] = cosine[angle] * x - sine[angle] * y
        own[place, second[pair]] = sine[angle] * x + cosine[angle] * y
        return own.to(device)

    within, across = torch.zeros(2, rows, dtype=torch.float64)  # along each row, and from the row before to it
    before: Tensor | None = None
    for start in range(0, rows, at_once := max(1, batch // grid)):
        stop = min(start + at_once, rows)
        with torch.no_grad():
            images = generate(latents(start * grid, stop * grid))
            features = distance.features(shrink_for_distance(images)).unflatten(0, (-1, grid))  # [rows, grid, D]
            within[start:stop] = _summed(distance, features[:, :-1], features[:, 1:])
            joined = features if before is None else torch.cat([before, features])
            if len(joined) > 1:
                across[stop - len(joined) + 1 : stop] = _summed(distance, joined[:-1], joined[1:])
        before = features[-1:].clone()  # not a view, which would keep the whole batch
        if progress is not None:
            progress(stop * grid, rows * grid)
    # The first row of a lattice has none before it. [pairs, seeds, angles from 0 to below 180]
    half = torch.cat([within.view(shape).sum(-1), across.view(shape)[..., 1:].sum(-1)], dim=-1)
    whole = torch.cat([half, half, half[..., :1]], dim=-1)
    degrees = torch.arange(-180, 181, step_degrees, dtype=torch.float64)
    return [
        RotationResult(degrees, each.mean(0), each.std(0, correction=0), (i, j), distance.name)
        for (i, j), each in zip(pairs, whole, strict=True)
    ]


def _summed(distance: Distance, one: Tensor, other: Tensor) -> Tensor:
    """Distances of ``[rows, columns, D]``, summed over the columns: ``[rows]`` float64 on the CPU."""
    return distance.between(one.flatten(0, 1), other.flatten(0, 1)).double().cpu().view(len(one), -1).sum(1)
