"""Rank runs, and decoders of others, by TPL, without labels."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from omegaconf import MISSING

from wherewhat_pl.bounds import Latents
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.settings import EvalSettings

EXAMPLE = "runs='runs/shapes3d/*'"


@dataclass(frozen=True)
class Settings(EvalSettings):
    runs: str = MISSING  # run folders, folders of runs or of .onnx decoders, or patterns of them; several with commas
    tpl: str = "tpl_small"  # which TPL; measured where it is missing
    out: str | None = None  # folder for the table and the plot; null: `selection` beside the models
    active: Latents | None = None  # number of active dimensions that is wanted; null: groups with more come first
    # TPL of an active dimension; null: the preset's, 0.3 (for LPIPS of larger images); auto: where the lengths of all
    # dimensions of these models fall apart into short and long ones, whatever their scores (docs/evaluation.md)
    threshold: str | None = None  # type: ignore[assignment]
    finished: bool = False  # leave out runs that have not come to their trainer.max_kimg
    device: str = "auto"  # cpu, cuda, cuda:1..., or auto: a GPU if there is one


def run(settings: Settings) -> int:
    from wherewhat_pl.evaluation.select import select

    runs = ",".join(os.path.expanduser(pattern) for pattern in settings.runs.split(","))
    out = os.path.expanduser(settings.out) if settings.out else None
    auto = settings.threshold == "auto"
    try:
        threshold = None if auto or settings.threshold is None else float(settings.threshold)
    except ValueError:
        raise ConfigError(f"threshold={settings.threshold}: must be a number, auto or null") from None
    measured_by = EvalSettings(
        **{item.name: getattr(settings, item.name) for item in fields(EvalSettings)} | {"threshold": threshold}
    )
    return select(runs, settings.tpl, out, settings.active, settings.device, measured_by, auto, settings.finished)
