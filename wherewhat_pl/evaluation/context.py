"""What an evaluation is told, what it shares among its metrics, and what each of them gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.base import to_float
from data_modules.factors import FactorSpace
from data_modules.randomness import generator_for
from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.evaluation.codes import CodeTable, encode_sample
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.pictures.pixels import to_uint8
from wherewhat_pl.run.loading import LoadedRun

DISTANCES = ("stlpips_vgg", "lpips_vgg")
Halves = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class EvalSettings:
    """How metrics are measured; each metric notes those it depends on."""

    seed: int = 0
    distance: str = "stlpips_vgg"  # perceptual distance of TPL
    threshold: float | None = None  # TPL of an active dimension; null: the preset's, 0.3 (for LPIPS of larger images)
    train: int = 10_000  # images, votes or points that supervised scores are fitted on
    test: int = 5_000  # and those they are tested on
    images: int = 10_000  # generated ones, and real ones, for image quality
    samples: int = 64  # base codes of the "where" metrics
    batch: int = 1024  # images of 64 x 64 pixels drawn or encoded at once; fewer of larger ones

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            raise ConfigError(f"distance={self.distance}: no such distance{suggestion(self.distance, DISTANCES)}")
        for name, least in (("train", 1), ("test", 1), ("images", 2), ("samples", 2), ("batch", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)}: must be at least {least}")


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


class Measuring:
    """What the metrics of one evaluation share: the run, the settings, and what was drawn and encoded already.

    Args:
        loaded: the run.
        settings: how to measure.

    Attributes:
        progress: called with what is done and what there is to do; set by who shows it.
    """

    def __init__(self, loaded: LoadedRun, settings: EvalSettings) -> None:
        self.loaded, self.settings = loaded, settings
        self.progress: Callable[[int, int], None] = lambda done, total: None

    @property
    def space(self) -> FactorSpace:
        space = self.loaded.ready_data().factor_space
        assert space is not None
        return space

    @property
    def batch(self) -> int:
        """Images at once; as many pixels as ``settings.batch`` images of 64 x 64 have."""
        return max(4, int(self.settings.batch * min(1.0, (64 / self.loaded.config.data.resolution) ** 2)))

    @cached_property
    def codes(self) -> CodeTable:
        """Codes by image index, for scores that ask for most of the factor grid."""
        data = self.loaded.ready_data()
        return CodeTable(
            data.images,
            self.loaded.encode,
            data.num_images,
            self.loaded.num_latents,
            self.batch,
            self.settings.seed,
            progress=lambda done, total: self.progress(done, total),
        )

    @cached_property
    def halves(self) -> Halves:
        """Codes and factors of random images, to train and to test on."""
        halves: list[Any] = []
        for half, count in (("train", self.settings.train), ("test", self.settings.test)):
            factors = self.space.sample(count, generator_for("cpu", self.settings.seed, "evaluation", half))
            images, indices = self.loaded.ready_data().images, self.space.to_index(factors)
            codes = encode_sample(images, self.loaded.encode, indices, self.batch, self.progress)
            halves += [codes, factors.numpy()]
        return halves[0], halves[1], halves[2], halves[3]

    @cached_property
    def distance(self) -> PerceptualDistance:
        """The perceptual distance, on the run's device."""
        return PerceptualDistance(self.settings.distance).to(self.loaded.device)

    def latents(self, count: int, purpose: str) -> Tensor:
        """``[count, n]`` from the run's prior, on its device; the same ones for the same seed and purpose."""
        return self.loaded.system.sample_latents(count, generator_for("cpu", self.settings.seed, purpose))

    def real_images(self) -> Iterator[Tensor]:
        """Random images of the data set in batches ``[B, 3, H, W]`` uint8; all of them if it has no more."""
        data = self.loaded.ready_data()
        generator = generator_for("cpu", self.settings.seed, "real images")
        if data.num_images <= self.settings.images:
            indices = torch.arange(data.num_images)
        else:
            indices = torch.randint(data.num_images, (self.settings.images,), generator=generator)
        for part in self._parts(indices):
            images = data.images(part)
            yield images.expand(-1, 3, -1, -1)

    def generated_images(self) -> Iterator[Tensor]:
        """Images from the prior in batches ``[B, 3, H, W]`` uint8: clipped and rounded as a file would hold them."""
        for part in self._parts(self.latents(self.settings.images, "generated images")):
            yield to_uint8(self.loaded.generate(part)).to(self.loaded.device)

    def _parts(self, rows: Tensor) -> Iterator[Tensor]:
        done, size = 0, min(self.batch, 256)
        for part in rows.split(size):
            yield part
            done += len(part)
            self.progress(done, len(rows))

    @cached_property
    def vgg_features(self) -> tuple[Tensor, Tensor]:
        """Features ``[N, 512]`` of real and of generated images, by the network that comes with stlpips."""
        network = PerceptualDistance().to(self.loaded.device)
        with torch.no_grad():
            real, generated = (
                torch.cat([network.embeddings(to_float(batch)).double() for batch in batches])
                for batches in (self.real_images(), self.generated_images())
            )
        return real, generated
