"""Which attribute each latent correlates with, where images have attributes (CelebA's 40) but no known factors."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from data_modules.base import DeviceDataModule
from data_modules.randomness import generator_for
from wherewhat_pl.evaluation.codes import encode_sample
from wherewhat_pl.metrics.functional.information import point_biserial
from wherewhat_pl.model import Model


@dataclass(frozen=True)
class AttributeRow:
    """One latent and the attributes that its code tells most about.

    Attributes:
        latent: position.
        attribute: name of the one with the largest absolute correlation.
        correlation: of the code with it, in [-1, 1].
        second: the next one.
        second_correlation: of the code with that one.
    """

    latent: int
    attribute: str
    correlation: float
    second: str
    second_correlation: float


def explain_attributes(
    model: Model, data: DeviceDataModule, images: int = 4096, seed: int = 0
) -> list[AttributeRow] | None:
    """Correlate every code with every attribute over random images, drawn without replacement.

    Args:
        model: with a recognizer.
        data: set up; with at least two attributes, if any.
        images: how many at most.
        seed: of the choice of images.

    Returns:
        One row per latent, in order; None if the images have no attributes.
    """
    names, labels = data.attribute_names, data.attributes
    if names is None or labels is None:
        return None
    order = torch.randperm(data.num_images, generator=generator_for("cpu", seed, "attributes"))[:images]
    codes = encode_sample(data.images, model.encode, order, batch=256)
    table = point_biserial(torch.from_numpy(codes), labels[order])
    rows = []
    for latent, correlations in enumerate(table):
        first, second = correlations.abs().topk(2).indices.tolist()
        values = correlations.tolist()
        rows.append(AttributeRow(latent, names[first], values[first], names[second], values[second]))
    return rows


def attribute_table(rows: list[AttributeRow]) -> str:
    """The rows as aligned text, the strongest correlation first."""
    lines = [f"{'latent':<8}{'attribute':<22}{'correlation':>11}    {'then':<22}{'correlation':>11}"]
    for row in sorted(rows, key=lambda row: -abs(row.correlation)):
        lines.append(
            f"{row.latent:<8}{row.attribute:<22}{row.correlation:>+11.2f}    "
            f"{row.second:<22}{row.second_correlation:>+11.2f}"
        )
    return "\n".join(lines)
