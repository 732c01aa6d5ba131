"""What `eval` can measure of a run: each function takes a :class:`Measuring` and gives a :class:`Outcome`.

The mathematics is in ``wherewhat_pl.metrics``; here images are drawn, encoded and handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.base import to_float
from data_modules.factors import FactorSpace
from data_modules.randomness import generator_for
from wherewhat_pl.analysis.codes import CodeTable, encode_sample
from wherewhat_pl.analysis.pictures import to_uint8
from wherewhat_pl.analysis.results import Row
from wherewhat_pl.config import ConfigError, suggestion
from wherewhat_pl.loading import LoadedRun
from wherewhat_pl.metrics import functional
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.metrics.tpl import TPL_PRESETS, TPLSettings, traversal_perceptual_length

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


def tpl(preset: str) -> Callable[[Measuring], Outcome]:
    """The measure for a TPL preset; it is shared among processes if there are several."""

    def measure(measuring: Measuring) -> Outcome:
        loaded = measuring.loaded
        result = traversal_perceptual_length(
            loaded.generate,
            loaded.num_latents,
            measuring.distance,
            tpl_settings(preset, measuring.settings),
            batch=tpl_batch(loaded.config.data.resolution),
            device=loaded.device,
            progress=lambda done, total: measuring.progress(done, total),
        )
        return tpl_outcome(result.as_dict())

    return measure


def tpl_settings(preset: str, settings: EvalSettings) -> TPLSettings:
    """A preset with the evaluation's seed, and its threshold if it has one."""
    chosen = TPL_PRESETS[preset]
    threshold = chosen.threshold if settings.threshold is None else settings.threshold
    return replace(chosen, threshold=threshold, seed=settings.seed)


def with_threshold(row: Row, threshold: float) -> Row:
    """A result of TPL as it is with another threshold: the lengths stay, only what counts as active changes."""
    mean = row["details"]["mean"]
    active = [length is not None and length >= threshold for length in mean]
    total = sum(length for length, counts in zip(mean, active, strict=True) if counts)
    return row | {
        "value": total,
        "values": {"total": total, "per_dimension": total / len(mean), "num_active": float(sum(active))},
        "details": row["details"] | {"active": active},
        "used": row["used"] | {"threshold": threshold},
    }


def tpl_batch(resolution: int) -> int:
    """Images whose perceptual features are held at once, about 120 numbers per pixel each: half a gigabyte."""
    return max(4, min(256, 2**20 // resolution**2))


def tpl_outcome(result: dict[str, Any]) -> Outcome:
    """A :meth:`TPLResult.as_dict` as an outcome: the sum over the active dimensions, and the rest."""
    numbers = {name: float(result[name]) for name in ("total", "per_dimension", "num_active")}
    details = {name: result[name] for name in ("mean", "std", "active")}
    return Outcome(numbers["total"], numbers, details, dict(result["settings"]))


def fvm(**preset: Any) -> Callable[[Measuring], Outcome]:
    """The measure for a FactorVAE preset."""

    def measure(m: Measuring) -> Outcome:
        settings = {"seed": m.settings.seed} | preset
        score = functional.factor_vae_score(
            m.codes,
            m.space,
            train_votes=m.settings.train,
            test_votes=m.settings.test,
            encode_batch=m.space.num_images,
            takes="indices",
            **settings,
        )
        numbers = {"train_accuracy": score["train_accuracy"], "num_active": float(score["num_active"])}
        return Outcome(float(score), numbers, {"active": score["active"]}, settings)

    return measure


def beta_vae(m: Measuring) -> Outcome:
    score = functional.beta_vae_score(
        m.codes,
        m.space,
        train_points=m.settings.train,
        test_points=m.settings.test,
        seed=m.settings.seed,
        encode_batch=m.space.num_images,
        takes="indices",
    )
    return Outcome(float(score), {"train_accuracy": score["train_accuracy"]})


def mig(m: Measuring) -> Outcome:
    score = functional.mig(*m.halves[:2])
    matrix = score["mutual_information"] / score["entropy"].clip(1e-12)
    return Outcome(
        float(score),
        dict(zip(m.space.names, map(float, score["per_factor"]), strict=True)),
        {"factors": list(m.space.names), "normalized_mutual_information": matrix},
    )


def sap(m: Measuring) -> Outcome:
    score = functional.sap(*m.halves)
    return Outcome(float(score), {}, {"factors": list(m.space.names), "accuracy": score["accuracy"]})


def dci(m: Measuring) -> Outcome:
    scores = functional.dci(*m.halves)
    names = ("disentanglement", "completeness", "informativeness_train", "informativeness_test")
    details = {"factors": list(m.space.names), "importance": scores["importance_matrix"]}
    return Outcome(scores["disentanglement"], {name: float(scores[name]) for name in names}, details)


def modularity(m: Measuring) -> Outcome:
    return Outcome(float(functional.modularity(*m.halves[:2])))


def explicitness(m: Measuring) -> Outcome:
    score = functional.explicitness(*m.halves)
    return Outcome(float(score), {"train": float(score["train"])})


def irs(m: Measuring) -> Outcome:
    score = functional.irs(*m.halves[:2])
    return Outcome(float(score), {}, {"active": score["active"], "parents": score["parents"]})


def where(m: Measuring) -> Outcome:
    """Lift of mask faithfulness, mean over the latents that change anything; see ``docs/where_metrics.md``."""
    masked = m.loaded.system.generator.masked_latents
    latents = m.latents(m.settings.samples, "where")
    changes, masks, done = [], [], 0
    for part in latents.split(max(1, m.batch // 64)):
        changes.append(functional.traversal_change(m.loaded.generate, part)[:, masked].cpu())
        masks.append(m.loaded.masks(part).cpu())
        done += len(part)
        m.progress(done, len(latents))
    change, mask = torch.cat(changes), torch.cat(masks)
    faithful = functional.mask_faithfulness(change, mask)
    details: dict[str, Any] = {
        "latents": masked,
        "lift": faithful.lift,
        "inside": faithful.inside,
        "area": functional.mask_area(mask),
        "stability": functional.mask_stability(mask),
        "change": change.mean((0, 2, 3)),
    }
    numbers = {name: float(details[name].nanmean()) for name in ("lift", "inside", "area", "stability")}
    return Outcome(numbers["lift"], numbers | {"overlap": functional.mean_overlap(mask)}, details)


def fd_vgg(m: Measuring) -> Outcome:
    moments: list[Tensor] = []
    for features in m.vgg_features:
        moments += [features.mean(0), features.T.cov()]
    return Outcome(float(functional.frechet_distance(*moments)))


def kd_vgg(m: Measuring) -> Outcome:
    return Outcome(float(functional.kernel_distance(*m.vgg_features)))


def pr_vgg(m: Measuring) -> Outcome:
    precision, recall = map(float, functional.precision_recall(*m.vgg_features))
    harmonic = 2 * precision * recall / max(precision + recall, 1e-12)
    return Outcome(harmonic, {"precision": precision, "recall": recall})
