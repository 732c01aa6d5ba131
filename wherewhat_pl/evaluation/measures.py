"""What ``eval`` can measure: each function takes an :class:`EvaluationContext` and gives an :class:`Outcome`.

The mathematics is in ``wherewhat_pl.metrics``; here images are drawn, encoded and handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from data_modules.randomness import generator_for
from data_modules.synthetic import SyntheticDataModule
from wherewhat_pl import metrics
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.codes import encode_sample
from wherewhat_pl.evaluation.context import EvalSettings, EvaluationContext, Outcome
from wherewhat_pl.evaluation.coverage import geometry_coverage, sample_size
from wherewhat_pl.evaluation.registry import metric
from wherewhat_pl.evaluation.results import Row
from wherewhat_pl.metrics import functional
from wherewhat_pl.metrics.functional.tpl import TPL_PRESETS, TPLSettings, traversal_perceptual_length

CODES = ("recognizer", "factors")
TRAIN_AND_TEST = ("train", "test")
ON_IMAGES: dict[str, Any] = {"settings": ("images",), "needs": ("images",)}  #: real and generated ones


def _tpl(preset: str, m: EvaluationContext) -> Outcome:
    result = traversal_perceptual_length(
        m.model.generate,
        m.model.num_latents,
        m.distance,
        tpl_settings(preset, m.settings),
        batch=max(4, min(256, 2**20 // m.model.resolution**2)),  # features: 120 numbers per pixel, half a gigabyte
        device=m.model.device,
        progress=lambda done, total: m.progress(done, total),
    )
    numbers = {name: float(getattr(result, name)) for name in ("total", "per_dimension", "num_active")}
    details = {"mean": result.mean, "std": result.std, "active": result.active}
    return Outcome(result.total, numbers, details, vars(result.settings))


for _preset in ("small", "large", "huge"):
    metric(f"tpl_{_preset}", "traversal perceptual length, low", split=True, is_tpl=True, default=_preset == "small")(
        partial(_tpl, _preset)
    )


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


@metric("fvm", "FactorVAE metric (Locatello's settings), high", settings=TRAIN_AND_TEST, needs=CODES, default=True)
def fvm(m: EvaluationContext, **preset: Any) -> Outcome:
    settings = {"seed": m.settings.seed} | preset
    votes: dict[str, Any] = {"train_votes": m.settings.train, "test_votes": m.settings.test}
    score = functional.factor_vae_score(m.codes, m.space, **votes, **settings, **_whole_grid(m))
    numbers = {"train_accuracy": score["train_accuracy"], "num_active": float(score["num_active"])}
    return Outcome(float(score), numbers, {"active": score["active"]}, settings)


metric("fvm_paper", "FactorVAE metric (PS-SC's settings), high", settings=TRAIN_AND_TEST, needs=CODES)(
    partial(fvm, **functional.FACTOR_VAE_PRESETS["paper"])
)


@metric("beta_vae", "beta-VAE metric, high", settings=TRAIN_AND_TEST, needs=CODES)
def beta_vae(m: EvaluationContext) -> Outcome:
    points: dict[str, Any] = {"train_points": m.settings.train, "test_points": m.settings.test}
    score = functional.beta_vae_score(m.codes, m.space, **points, seed=m.settings.seed, **_whole_grid(m))
    return Outcome(float(score), {"train_accuracy": score["train_accuracy"]})


def _whole_grid(m: EvaluationContext) -> dict[str, Any]:
    """The table of codes is asked once, for all images by their indices."""
    return {"encode_batch": m.space.num_images, "takes": "indices"}


@metric("mig", "mutual information gap, high", settings=("train",), needs=CODES, default=True)
def mig(m: EvaluationContext) -> Outcome:
    score = _supervised(m, metrics.MutualInformationGap())
    matrix = score["mutual_information"] / score["entropy"].clip(1e-12)
    return Outcome(
        float(score),
        dict(zip(m.space.names, map(float, score["per_factor"]), strict=True)),
        {"factors": list(m.space.names), "normalized_mutual_information": matrix},
    )


@metric("sap", "separated attribute predictability, high", settings=TRAIN_AND_TEST, needs=CODES, default=True)
def sap(m: EvaluationContext) -> Outcome:
    score = _supervised(m, metrics.SeparatedAttributePredictability())
    return Outcome(float(score), {}, {"factors": list(m.space.names), "accuracy": score["accuracy"]})


@metric("dci", "DCI disentanglement, high", settings=TRAIN_AND_TEST, needs=CODES, default=True)
def dci(m: EvaluationContext) -> Outcome:
    scores = _supervised(m, metrics.DCI())
    names = ("disentanglement", "completeness", "informativeness_train", "informativeness_test")
    details = {"factors": list(m.space.names), "importance": scores["importance_matrix"]}
    return Outcome(scores["disentanglement"], {name: float(scores[name]) for name in names}, details)


@metric("modularity", "modularity, high", settings=("train",), needs=CODES, default=True)
def modularity(m: EvaluationContext) -> Outcome:
    return Outcome(float(_supervised(m, metrics.Modularity())))


@metric("explicitness", "explicitness, high", settings=TRAIN_AND_TEST, needs=CODES, default=True)
def explicitness(m: EvaluationContext) -> Outcome:
    score = _supervised(m, metrics.Explicitness())
    return Outcome(float(score), {"train": float(score["train"])})


@metric("irs", "interventional robustness, high", settings=("train",), needs=CODES, default=True)
def irs(m: EvaluationContext) -> Outcome:
    score = _supervised(m, metrics.InterventionalRobustness())
    return Outcome(float(score), {}, {"active": score["active"], "parents": score["parents"]})


def _supervised(m: EvaluationContext, collected: Any) -> Any:
    """The score with its parts, on the training codes, or on both halves where the metric is fitted and tested."""
    codes_train, factors_train, codes_test, factors_test = m.train_and_test_codes
    if hasattr(collected, "codes_test"):
        collected.update(codes_train, factors_train, train=True)
        collected.update(codes_test, factors_test, train=False)
    else:
        collected.update(codes_train, factors_train)
    return collected.result()


@metric(
    "separability",
    "linear separability of attributes, low",
    settings=("train",),
    needs=("recognizer", "attributes", "images"),
)
def separability(m: EvaluationContext) -> Outcome:
    data = m.data
    names, attributes = data.attribute_names, data.attributes
    if names is None or attributes is None:
        raise ConfigError(f"metrics=separability: needs attributes, and {data.name} ({data.source}) has none")
    order = torch.randperm(data.num_images, generator=generator_for("cpu", m.settings.seed, "evaluation", "attributes"))
    indices = order[: m.settings.train]
    codes = encode_sample(data.images, m.model.encode, indices, m.batch, m.progress)
    score = functional.linear_separability(codes, attributes[indices])
    return Outcome(float(score), dict(zip(names, map(float, score["conditional_entropy"]), strict=True)))


@metric("where", "lift of mask faithfulness, high", settings=("samples",), needs=("masks",), default=True)
def where(m: EvaluationContext) -> Outcome:
    """Lift of mask faithfulness, mean over the latents that change anything; see ``docs/where_metrics.md``."""
    masked = m.model.masked_latents
    latents = m.model.sample(m.settings.samples, m.settings.seed, "where")
    changes, masks = [], []
    for part in m.parts(latents, max(1, m.batch // 64)):
        changes.append(functional.traversal_change(m.model.generate, part)[:, masked].cpu())
        masks.append(m.model.masks(part)[:, masked].cpu())
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


@metric(
    "coverage",
    "share of the geometry that is drawn, high",
    settings=("images",),
    needs=("geometry", "images"),
    default=True,
)
def coverage(m: EvaluationContext) -> Outcome:
    """Share of the geometry that samples draw, beside real images; see ``metrics/functional/coverage.py``."""
    assert isinstance(m.data, SyntheticDataModule)
    share = geometry_coverage(m.data, m.generated_images(), m.real_images())
    numbers = {name: share[name] for name in ("best", "average", "real", "geometries")}
    return Outcome(float(share), numbers | share["factors"], {}, {"samples": sample_size(m.data.geometry())})


@metric("fd_vgg", "Frechet distance on VGG features (not FID), low", **ON_IMAGES)
def fd_vgg(m: EvaluationContext) -> Outcome:
    return Outcome(float(_on_features(m, metrics.FrechetDistanceVGG)))


@metric("kd_vgg", "kernel distance on VGG features (not KID), low", **ON_IMAGES)
def kd_vgg(m: EvaluationContext) -> Outcome:
    return Outcome(float(_on_features(m, metrics.KernelDistanceVGG)))


@metric("pr_vgg", "precision and recall on VGG features, high", **ON_IMAGES)
def pr_vgg(m: EvaluationContext) -> Outcome:
    both = _on_features(m, metrics.PrecisionRecallVGG)
    return precision_and_recall(float(both["precision"]), float(both["recall"]))


def precision_and_recall(precision: float, recall: float) -> Outcome:
    """Their harmonic mean, and both."""
    harmonic = 2 * precision * recall / max(precision + recall, 1e-12)
    return Outcome(harmonic, {"precision": precision, "recall": recall})


def _on_features(m: EvaluationContext, kind: Callable[..., Any]) -> Any:
    """A metric of two sets, from the features of both, which are computed once for all of them."""
    collected = kind(embed=lambda features: features)
    if m.settings.images < collected.least_images:
        raise ConfigError(f"images={m.settings.images}: must be at least {collected.least_images} for this metric")
    for features, is_real in zip(m.vgg_features, (True, False), strict=True):
        collected.to(features.device).update(features, real=is_real)
    return collected.compute()
