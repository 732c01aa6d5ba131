"""What `eval` can measure of a run: each function takes a :class:`Measuring` and gives an :class:`Outcome`.

The mathematics is in ``wherewhat_pl.metrics``; here images are drawn, encoded and handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from data_modules.randomness import generator_for
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.codes import encode_sample
from wherewhat_pl.evaluation.context import EvalSettings, Measuring, Outcome
from wherewhat_pl.evaluation.results import Row
from wherewhat_pl.metrics import functional
from wherewhat_pl.metrics.functional.tpl import TPL_PRESETS, TPLSettings, traversal_perceptual_length


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


def separability(m: Measuring) -> Outcome:
    data = m.loaded.ready_data()
    names, attributes = data.attribute_names, data.attributes
    if names is None or attributes is None:
        raise ConfigError(f"metrics=separability: needs attributes, and {data.name} ({data.source}) has none")
    order = torch.randperm(data.num_images, generator=generator_for("cpu", m.settings.seed, "evaluation", "attributes"))
    indices = order[: m.settings.train]
    codes = encode_sample(data.images, m.loaded.encode, indices, m.batch, m.progress)
    score = functional.linear_separability(codes, attributes[indices])
    return Outcome(float(score), dict(zip(names, map(float, score["conditional_entropy"]), strict=True)))


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
