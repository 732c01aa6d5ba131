"""The files of ``rotate``: whether two latents are the axes of what they change, or only a turned pair of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wherewhat_pl.analysis.outputs import progress_bar
from wherewhat_pl.analysis.traverse import batch_of
from wherewhat_pl.metrics.functional.rotation import RotationResult, rotation_distances
from wherewhat_pl.metrics.functional.tpl import TPLSettings, base_codes_of
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.model import Model
from wherewhat_pl.pictures.pixels import to_uint8
from wherewhat_pl.pictures.plots import rotation_picture
from wherewhat_pl.pictures.sheet import sheet
from wherewhat_pl.run.files import csv_text, replacing, write_atomically

STILL = 0.1  #: a latent whose path is shorter than this share of the longest one hardly moves: it has no direction
CURVES = 9  #: pairs whose curves are drawn


@dataclass(frozen=True)
class Lattice:
    """Which images are compared.

    Attributes:
        grid: points per side.
        bound: half the side.
        step: degrees between angles, a divisor of 90.
        codes: random codes for the other latents, from seeds ``seed``, ``seed + 1``...
        seed: see ``codes``.
    """

    grid: int
    bound: float
    step: int
    codes: int
    seed: int


def rotate(model: Model, pairs: Sequence[tuple[int, int]], lattice: Lattice, distance: str) -> list[RotationResult]:
    """Accumulated distances over the angle for each pair, in one pass with one bar."""
    measure = PerceptualDistance(distance).to(model.device)
    with progress_bar("rotate", "img") as show:
        return rotation_distances(
            model.generate,
            model.num_latents,
            measure,
            pairs,
            grid=lattice.grid,
            bound=lattice.bound,
            step_degrees=lattice.step,
            seeds=range(lattice.seed, lattice.seed + lattice.codes),
            batch=max(lattice.grid, batch_of(model)),
            device=model.device,
            progress=show,
        )


def ranked(results: Sequence[RotationResult]) -> list[tuple[RotationResult, bool]]:
    """The pair best aligned with its axes first, and whether both latents move; pairs of which one is still last.

    A latent that changes nothing makes any curve look aligned: turned towards the other one, its path grows.
    """
    longest = max(max(result.along) for result in results)
    moving = [(result, min(result.along) >= STILL * longest and longest > 0) for result in results]
    return sorted(moving, key=lambda pair: (not pair[1], -pair[0].alignment()))


def write_pair(model: Model, result: RotationResult, lattice: Lattice, files: Sequence[Path]) -> None:
    """The curve and the grid of images at 0 degrees, as PNG."""
    title = in_words(model, result)
    write_atomically(files[0], rotation_picture([(title, result)], result.distance))
    images, values = grid_images(model, result.pair, lattice)
    labels = [f"{value:+.1f}" for value in values.tolist()]
    with replacing(files[1]) as temporary:
        right, up = (model.names[latent] for latent in result.pair)
        picture = sheet(to_uint8(images), lattice.grid, labels, labels[::-1], f"to the right: {right}; upwards: {up}")
        picture.save(temporary, format="PNG")


def grid_images(model: Model, pair: tuple[int, int], lattice: Lattice) -> tuple[Tensor, Tensor]:
    """Images ``[grid * grid, C, H, W]``: the first latent grows to the right, the second upwards; and the values."""
    values = torch.linspace(-lattice.bound, lattice.bound, lattice.grid)
    latents = base_codes_of(TPLSettings(base_codes=1, seed=lattice.seed), model.num_latents).repeat(lattice.grid**2, 1)
    latents[:, pair[0]] = values.repeat(lattice.grid)
    latents[:, pair[1]] = values.flip(0).repeat_interleave(lattice.grid)
    return torch.cat([model.generate(part) for part in latents.split(batch_of(model))]), values


def write_ranking(model: Model, order: Sequence[tuple[RotationResult, bool]], files: Sequence[Path]) -> None:
    """The ranking as CSV and the first pairs' curves as PNG."""
    head = ["rank", "first", "second", "first name", "second name", "alignment", "along first", "along second"]
    rows: list[list[object]] = []
    for rank, (result, moves) in enumerate(order, start=1):
        i, j = result.pair
        numbers = [f"{value:.6g}" for value in (result.alignment(), *result.along)]
        rows.append([rank if moves else None, i, j, model.names[i], model.names[j], *numbers])
    write_atomically(files[0], csv_text(head, rows).encode())
    shown = [(in_words(model, result), result) for result, _ in order[:CURVES]]
    write_atomically(files[1], rotation_picture(shown, order[0][0].distance))


def table(model: Model, order: Sequence[tuple[RotationResult, bool]], rows: int = 10) -> str:
    """The first pairs as aligned text."""
    lines = [f"{'rank':>4}  {'pair':<36}{'alignment':>10}{'along first':>13}{'along second':>14}"]
    for rank, (result, moves) in enumerate(order[:rows], start=1):
        names = " and ".join(model.names[latent] for latent in result.pair)[:35]
        lengths = f"{result.along[0]:>13.3f}{result.along[1]:>14.3f}"
        lines.append(f"{rank if moves else '-':>4}  {names:<36}{result.alignment():>+10.3f}{lengths}")
    still = sum(not moves for _, moves in order)
    note = f"{still} of {len(order)} pairs have a latent that hardly moves; they have no rank\n" * bool(still)
    return "\n".join(lines) + "\n" + note + "alignment: mean over all angles / mean at multiples of 90 degrees - 1"


def in_words(model: Model, result: RotationResult) -> str:
    """A pair, and how well it is aligned with its axes."""
    first, second = (model.names[latent] for latent in result.pair)
    return f"{first} and {second}: alignment {result.alignment():+.3f}"
