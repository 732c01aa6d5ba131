"""What a trained model draws and knows, as the screen at the end of a training shows it."""

from __future__ import annotations

import torch

from data_modules.base import DeviceDataModule
from data_modules.randomness import generator_for
from data_modules.synthetic import SyntheticDataModule
from wherewhat_pl.analysis.attributes import attribute_table, explain_attributes
from wherewhat_pl.analysis.factors import explain_factors, factor_table
from wherewhat_pl.evaluation.coverage import geometry_coverage, sample_size
from wherewhat_pl.model import Model
from wherewhat_pl.pictures.pixels import to_uint8


def summarize(model: Model, data: DeviceDataModule, images: int = 4096, seed: int = 0) -> tuple[str, dict[str, float]]:
    """The text for the screen, and the same numbers by name for ``metrics.jsonl``.

    Args:
        model: trained; it is moved to the data's device.
        data: what it was trained on, set up.
        images: of the data set to look at, at most.
        seed: of their choice.
    """
    model.to(data.device)  # after a fit Lightning has taken it back to the CPU
    images = min(images, data.num_images)
    where = f"over {images:,} images of {data.name} ({data.source})"
    drawn, numbers = _summarize_geometry(model, data, images, seed)
    if not model.has_recognizer:
        text = "\nno recognizer is trained with model.loss=gan, so no latent is matched to a factor\n"
        return drawn + text * (data.factor_space is not None), numbers
    if data.factor_space is not None:
        factors = explain_factors(model, data, images, seed)
        numbers |= {f"factor/{row.factor}": row.information for row in factors}
        numbers |= {f"factor_latent/{row.factor}": row.latent for row in factors}
        title = f"what each latent knows, {where}, as information I / H(factor):"
        return f"{drawn}\n{title}\n{factor_table(factors)}\n", numbers
    attributes = explain_attributes(model, data, images, seed)
    if attributes is None:
        return "", {}
    numbers = {f"attribute/{row.latent}/{row.attribute}": row.correlation for row in attributes}
    title = f"what each latent goes with, {where}, as correlation of codes:"
    return f"\n{title}\n{attribute_table(attributes)}\n", numbers


def _summarize_geometry(model: Model, data: DeviceDataModule, images: int, seed: int) -> tuple[str, dict[str, float]]:
    """What no recognizer can read is what no generator draws: a line about that, where geometries are known."""
    if not isinstance(data, SyntheticDataModule):
        return "", {}
    count = min(images, sample_size(data.geometry()))
    chosen = torch.randint(data.num_images, (count,), generator=generator_for("cpu", seed, "coverage"))
    generated = (to_uint8(model.generate(part)) for part in model.sample(count, seed, "coverage").split(256))
    share = geometry_coverage(data, generated, (data.images(part) for part in chosen.split(256)))
    text = (
        f"\ncoverage: {share:.2f} of the geometry is drawn, error {share['best']:.3f} to the nearest one "
        f"({share['real']:.3f} for real images, {share['average']:.3f} to an average one), "
        f"{share['geometries']:.0f} different ones\n"
    )
    return text, {"coverage": float(share), "coverage_geometries": share["geometries"]}
