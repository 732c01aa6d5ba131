"""What a trained system knows, as the screen at the end of a training shows it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from data_modules.base import DeviceDataModule
from data_modules.randomness import generator_for
from wherewhat_pl.analysis.attributes import attribute_table, explain_attributes
from wherewhat_pl.analysis.factors import FactorRow, explain_factors, factor_table
from wherewhat_pl.system import DisentanglingGAN


def summarize(system: DisentanglingGAN, data: DeviceDataModule) -> tuple[str, dict[str, float]]:
    """The text for the screen, and the same numbers by name for ``metrics.jsonl``.

    Args:
        system: trained; it is moved to the data's device and set to evaluation.
        data: what it was trained on, set up.
    """
    if data.factor_space is None:
        return _summarize_attributes(system, data)
    images = system.config.factors.images
    rows = explain_system(system, data, images)
    if rows is None:
        return "\nno recognizer is trained with model.loss=gan, so no latent is matched to a factor\n", {}
    title = (
        f"what each latent knows, over {images:,} images of {data.name} ({data.source}), as information I / H(factor):"
    )
    numbers = {f"factor/{row.factor}": row.information for row in rows}
    numbers |= {f"factor_latent/{row.factor}": row.latent for row in rows}
    return f"\n{title}\n{factor_table(rows)}\n", numbers


def _summarize_attributes(system: DisentanglingGAN, data: DeviceDataModule) -> tuple[str, dict[str, float]]:
    if system.encoder is None:
        return "", {}
    system.to(data.device).eval()
    images = min(system.config.factors.images, data.num_images)
    rows = explain_attributes(system.encoder, data, images, system.config.seed)
    if rows is None:
        return "", {}
    title = (
        f"what each latent goes with, over {images:,} images of {data.name} ({data.source}), as correlation of codes:"
    )
    numbers = {f"attribute/{row.latent}/{row.attribute}": row.correlation for row in rows}
    return f"\n{title}\n{attribute_table(rows)}\n", numbers


def explain_system(system: DisentanglingGAN, data: DeviceDataModule, images: int) -> list[FactorRow] | None:
    """Which latent explains which factor; None if no factors are known or no recognizer was trained."""
    if data.factor_space is None or system.encoder is None:
        return None
    system.to(data.device).eval()  # after a fit Lightning has taken it back to the CPU
    return explain_factors(system.encoder, data, mean_masks(system), images, system.config.seed)


def mean_masks(system: DisentanglingGAN, count: int = 256) -> Tensor | None:
    """Each latent's mask averaged over random codes, at the images' resolution: ``[n, H, W]``; None without masks."""
    latents = system.sample_latents(count, generator_for("cpu", system.config.seed, "mean masks"))
    size = (system.generator.resolution,) * 2
    totals = torch.zeros(system.num_latents, *size, device=system.device)
    with torch.no_grad():
        for part in latents.split(64):
            _, masks = system.generator_ema(part, return_masks=True)
            if not masks:
                return None
            stacked = torch.cat([F.interpolate(mask.float(), size=size) for mask in masks], dim=1)
            totals[system.generator.masked_latents] += stacked.sum(0)
    return totals / count
