"""What an evaluation shares among its metrics, and what each of them gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from data_modules.base import DeviceDataModule, to_float
from data_modules.factors import FactorSpace
from data_modules.randomness import generator_for
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.codes import CodeTable, encode_sample
from wherewhat_pl.evaluation.settings import EvalSettings
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.model import Model
from wherewhat_pl.pictures.pixels import to_uint8
from wherewhat_pl.run.loading import LoadedRun


@dataclass(frozen=True)
class Outcome:
    """One metric's result.

    Attributes:
        value: the headline number.
        values: all numbers, by name.
        details: lists and matrices, e.g. one number per latent.
        settings: what the metric used beyond :class:`EvalSettings`.
    """

    value: float
    values: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


class EvaluationContext:
    """What the metrics of one evaluation share: a model, perhaps data, and what was drawn and encoded already.

    Args:
        model: what is measured.
        settings: how.
        data: what it was trained on, set up or not; None where that is not known (a decoder of others).
        images_seen: how long it was trained; 0 if that is not known.
        data_provenance: name, source and fingerprint of what it was trained on.
        identity: what else tells this model from another one in a results file.

    Attributes:
        progress: called with what is done and what there is to do; set by who shows it.
    """

    def __init__(
        self,
        model: Model,
        settings: EvalSettings | None = None,
        data: DeviceDataModule | None = None,
        images_seen: int = 0,
        data_provenance: dict[str, Any] | None = None,
        identity: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.settings, self.images_seen = model, settings or EvalSettings(), images_seen
        self.known_data, self.data_provenance, self.identity = data, data_provenance or {}, identity or {}
        self.progress: Callable[[int, int], None] = lambda done, total: None

    @classmethod
    def of_run(cls, loaded: LoadedRun, settings: EvalSettings | None = None) -> EvaluationContext:
        """What there is to measure of a loaded run."""
        return cls(loaded.model, settings, loaded.data, loaded.images_seen, loaded.run.data_provenance())

    @cached_property
    def data(self) -> DeviceDataModule:
        """The data, opened or drawn on the model's device; raises :class:`DataError` if it cannot be."""
        if self.known_data is None:
            raise ConfigError("this model comes without data to measure it on")
        if self.known_data.trainer is None:
            self.known_data.device = self.model.device
        self.known_data.setup()
        return self.known_data

    @property
    def space(self) -> FactorSpace:
        """The data's factors; only for metrics that need them."""
        assert self.data.factor_space is not None
        return self.data.factor_space

    @property
    def batch(self) -> int:
        """Images at once; as many pixels as ``settings.batch`` images of 64 x 64 have."""
        return max(4, int(self.settings.batch * min(1.0, (64 / self.model.resolution) ** 2)))

    @cached_property
    def codes(self) -> CodeTable:
        """Codes by image index, for scores that ask for most of the factor grid."""
        return CodeTable(
            self.data.images,
            self.model.encode,
            self.data.num_images,
            self.model.num_latents,
            self.batch,
            self.settings.seed,
            progress=lambda done, total: self.progress(done, total),
        )

    @cached_property
    def train_and_test_codes(self) -> list[Tensor]:
        """Codes and factors of random images to train on, then of others to test on."""
        found: list[Tensor] = []
        for half, count in (("train", self.settings.train), ("test", self.settings.test)):
            factors = self.space.sample(count, generator_for("cpu", self.settings.seed, "evaluation", half))
            indices = self.space.to_index(factors)
            codes = encode_sample(self.data.images, self.model.encode, indices, self.batch, self.progress)
            found += [torch.from_numpy(codes), factors]
        return found

    @cached_property
    def distance(self) -> PerceptualDistance:
        """The perceptual distance, on the model's device."""
        return PerceptualDistance(self.settings.distance).to(self.model.device)

    def real_images(self) -> Iterator[Tensor]:
        """Random images of the data set in batches ``[B, 3, H, W]`` uint8; all of them if it has no more."""
        generator = generator_for("cpu", self.settings.seed, "real images")
        there, wanted = self.data.num_images, self.settings.images
        indices = torch.arange(there) if there <= wanted else torch.randint(there, (wanted,), generator=generator)
        for part in self.parts(indices, min(self.batch, 256)):
            yield self.data.images(part).expand(-1, 3, -1, -1)

    def generated_images(self) -> Iterator[Tensor]:
        """Images from the prior in batches ``[B, 3, H, W]`` uint8: clipped and rounded as a file would hold them."""
        latents = self.model.sample(self.settings.images, self.settings.seed, "generated images")
        for part in self.parts(latents, min(self.batch, 256)):
            yield to_uint8(self.model.generate(part)).to(self.model.device)

    def parts(self, rows: Tensor, size: int) -> Iterator[Tensor]:
        """Rows in batches; when the next one is asked for, progress is told that one is done."""
        done = 0
        for part in rows.split(size):
            yield part
            done += len(part)
            self.progress(done, len(rows))

    @torch.no_grad()
    def features(self, embed: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Features ``[N, D]`` float64 of real and generated images; ``embed``: ``[B, 3, H, W]`` uint8 -> ``[B, D]``."""
        real = torch.cat([embed(batch).double() for batch in self.real_images()])
        generated = torch.cat([embed(batch).double() for batch in self.generated_images()])
        return real, generated

    @cached_property
    def vgg_features(self) -> tuple[Tensor, Tensor]:
        """Features ``[N, 512]`` of both, by the network that comes with stlpips."""
        network = PerceptualDistance().to(self.model.device)
        return self.features(lambda batch: network.embeddings(to_float(batch)))
