"""What a trained model knows, as the screen at the end of a training shows it."""

from __future__ import annotations

from data_modules.base import DeviceDataModule
from wherewhat_pl.analysis.attributes import attribute_table, explain_attributes
from wherewhat_pl.analysis.factors import explain_factors, factor_table
from wherewhat_pl.model import Model


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
    if not model.has_recognizer:
        text = "\nno recognizer is trained with model.loss=gan, so no latent is matched to a factor\n"
        return text if data.factor_space is not None else "", {}
    if data.factor_space is not None:
        factors = explain_factors(model, data, images, seed)
        numbers = {f"factor/{row.factor}": row.information for row in factors}
        numbers |= {f"factor_latent/{row.factor}": row.latent for row in factors}
        title = f"what each latent knows, {where}, as information I / H(factor):"
        return f"\n{title}\n{factor_table(factors)}\n", numbers
    attributes = explain_attributes(model, data, images, seed)
    if attributes is None:
        return "", {}
    numbers = {f"attribute/{row.latent}/{row.attribute}": row.correlation for row in attributes}
    title = f"what each latent goes with, {where}, as correlation of codes:"
    return f"\n{title}\n{attribute_table(attributes)}\n", numbers
