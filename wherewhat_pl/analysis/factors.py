"""Which latent explains which factor, and whether its mask lies where that factor acts; for sets with known factors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from data_modules.base import DeviceDataModule
from data_modules.randomness import generator_for
from wherewhat_pl.evaluation.codes import encode_sample
from wherewhat_pl.metrics.functional import factor_entropies, mutual_information
from wherewhat_pl.model import Model


@dataclass(frozen=True)
class FactorRow:
    """One factor and the latent whose code tells most about it.

    Attributes:
        factor: name.
        latent: position of the latent with the highest normalized mutual information.
        information: I(code; factor) / H(factor), in [0, 1].
        mask_on_factor: share of the latent's mask that lies on pixels which the factor changes; None without masks.
        factor_area: share of the picture that the factor changes: what a mask anywhere would reach by chance.
    """

    factor: str
    latent: int
    information: float
    mask_on_factor: float | None
    factor_area: float


def mean_masks(model: Model, seed: int = 0, count: int = 256) -> Tensor:
    """Each latent's mask averaged over random codes: ``[n, H, W]`` in [0, 1], zero for latents without one."""
    parts = model.sample(count, seed, "mean masks").split(64)
    return torch.stack([model.masks(part).sum(0) for part in parts]).sum(0) / count


def explain_factors(model: Model, data: DeviceDataModule, images: int = 4096, seed: int = 0) -> list[FactorRow]:
    """Normalized mutual information of every code with every factor over random images; the best latent per factor.

    Args:
        model: with a recognizer.
        data: a module with a ``factor_space``, set up.
        images: how many.
        seed: of the choice of images.

    Returns:
        One row per factor, in the factors' order.
    """
    space = data.factor_space
    assert space is not None
    factors = space.sample(images, generator_for("cpu", seed, "factors"))
    indices = space.to_index(factors)
    codes = encode_sample(data.images, model.encode, indices, batch=256)
    table = mutual_information(codes, factors) / factor_entropies(factors)  # [n, f]
    masks = mean_masks(model, seed).to(data.device)
    rows = []
    for position, name in enumerate(space.names):
        latent = int(table[:, position].argmax())
        region, mask = factor_region(data, position, seed), masks[latent]
        on_factor = float((mask * region).sum() / mask.sum()) if mask.sum() > 0 else None
        rows.append(FactorRow(name, latent, float(table[latent, position]), on_factor, float(region.mean())))
    return rows


def factor_region(data: DeviceDataModule, position: int, seed: int = 0, scenes: int = 64) -> Tensor:
    """Where a factor acts: how often each pixel changes when the factor does and nothing else.

    Args:
        data: a module with a ``factor_space``, set up.
        position: of the factor.
        seed: of the choice of scenes.
        scenes: how many, each drawn with all the factor's values.

    Returns:
        ``[H, W]`` in [0, 1].
    """
    space = data.factor_space
    assert space is not None
    factors = space.sample(scenes, generator_for("cpu", seed, "region", position))
    factors = factors[:, None].repeat(1, space.sizes[position], 1)
    factors[:, :, position] = torch.arange(space.sizes[position])
    pictures = data.images(space.to_index(factors).flatten()).unflatten(0, factors.shape[:2]).float()
    spread = (pictures.amax(1) - pictures.amin(1)).amax(1)  # [scenes, H, W], 0..255
    return (spread > 32).float().mean(0)  # an eighth of the range: more than anti-aliasing at an edge


def factor_table(rows: list[FactorRow]) -> str:
    """The rows as aligned text."""
    lines = [f"{'factor':<14}{'latent':>7}{'information':>13}{'mask on it':>12}{'by chance':>11}"]
    for row in rows:
        on = "-" if row.mask_on_factor is None else f"{row.mask_on_factor:.2f}"
        lines.append(f"{row.factor:<14}{row.latent:>7}{row.information:>13.2f}{on:>12}{row.factor_area:>11.2f}")
    return "\n".join(lines)
