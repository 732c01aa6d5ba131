"""Accumulated perceptual distance under rotation of two latent dimensions.

If two dimensions are disentangled, walking along them is the shortest way: turned away from the axes, steps change two
things at once and add up to more. The curve over the angle shows it without labels (Zhu et al. 2021, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wherewhat_pl.metrics.functional.tpl import Distance, Generate, TPLSettings, base_codes_of, path_lengths


@dataclass(frozen=True)
class RotationResult:
    """Accumulated distance against the angle by which two dimensions are rotated.

    Attributes:
        degrees: ``[A]`` from -180 to 180.
        mean: ``[A]`` accumulated distance, averaged over the seeds; ``std [A]`` its spread (population).
        std: see ``mean``.
        pair: the two dimensions.
        distance: name of the perceptual distance.
    """

    degrees: Tensor
    mean: Tensor
    std: Tensor
    pair: tuple[int, int]
    distance: str

    def alignment(self) -> float:
        """How deep the minima at multiples of 90 degrees are: mean over all angles / mean at those angles - 1.

        Above 0 if the accumulated distance is smallest along the axes themselves, 0 if all angles are alike.
        """
        at_axes = self.mean[(self.degrees % 90).abs() < 1e-6].mean()
        return float(self.mean.mean() / at_axes.clamp_min(1e-12) - 1) if float(self.mean.max()) > 0 else 0.0


def rotation_distance(
    generate: Generate,
    num_latents: int,
    distance: Distance,
    pair: tuple[int, int],
    *,
    grid: int = 14,
    bound: float = 4.0,
    step_degrees: int = 3,
    seeds: Sequence[int] = (0,),
    batch: int = 64,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> RotationResult:
    """Accumulated perceptual distance on a rotated grid of two dimensions (Zhu et al. 2021, section 4).

    A ``grid`` x ``grid`` lattice over [-bound, bound]^2 in the plane of the two dimensions is rotated about 0;
    distances between neighbours along each row are added up. Rotated by 180 degrees the lattice has the same rows
    backwards, so only half of the angles are computed.

    Args:
        generate: latents ``[B, num_latents]`` on ``device`` -> images in [-1, 1], as for TPL.
        num_latents: n.
        distance: of pairs of images.
        pair: two different dimensions.
        grid: points per side.
        bound: half the side of the lattice.
        step_degrees: between angles, a divisor of 180.
        seeds: one random code each, N(0, I), for the other dimensions.
        batch: images at a time.
        device: of the latents.
        progress: called with images done and images to do.

    Returns:
        :class:`RotationResult` for angles from -180 to 180 degrees.

    Raises:
        ValueError: a pair or a step that does not fit.
    """
    i, j = pair
    if i == j or not (0 <= i < num_latents and 0 <= j < num_latents):
        raise ValueError(f"rotation: {pair} are not two different dimensions of {num_latents}")
    if step_degrees < 1 or 180 % step_degrees:
        raise ValueError(f"rotation: a step of {step_degrees} degrees does not divide 180")
    angles = torch.arange(0, 180, step_degrees)
    codes = torch.cat([base_codes_of(TPLSettings(base_codes=1, seed=seed), num_latents) for seed in seeds])
    side = torch.linspace(-bound, bound, grid)
    radians = angles * (math.pi / 180)
    cosine, sine = radians.cos(), radians.sin()

    def latents(first: int, last: int) -> Tensor:
        image = torch.arange(first, last)  # seeds x angles x rows x columns
        column, row = side[image % grid], side[image // grid % grid]
        angle, seed = image // grid**2 % len(angles), image // (grid**2 * len(angles))
        batch_latents = codes[seed].clone()
        batch_latents[:, i] = cosine[angle] * column - sine[angle] * row
        batch_latents[:, j] = sine[angle] * column + cosine[angle] * row
        return batch_latents.to(device)

    rows = len(codes) * len(angles) * grid
    lengths = path_lengths(generate, distance, latents, rows, grid, batch, progress)
    half = lengths.view(len(codes), len(angles), grid).sum(-1)  # [seeds, angles]
    whole = torch.cat([half, half, half[:, :1]], dim=1)
    degrees = torch.arange(-180, 181, step_degrees, dtype=torch.float64)
    return RotationResult(degrees, whole.mean(0), whole.std(0, correction=0), (i, j), distance.name)
