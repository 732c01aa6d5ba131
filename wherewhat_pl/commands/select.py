"""Rank runs, and decoders of others, by TPL, without labels."""

from __future__ import annotations

import os
from dataclasses import dataclass

from omegaconf import MISSING

from wherewhat_pl.bounds import Latents
from wherewhat_pl.evaluation.settings import EvalSettings

EXAMPLE = "runs='runs/shapes3d/*'"


@dataclass(frozen=True)
class Settings(EvalSettings):
    runs: str = MISSING  # run folders, folders of runs or of .onnx decoders, or patterns of them; several with commas
    tpl: str = "tpl_small"  # which TPL; measured where it is missing
    out: str | None = None  # folder for the table and the plot; null: `selection` beside the models
    active: Latents | None = None  # number of active dimensions that is wanted; null: groups with more come first
    device: str = "auto"  # cpu, cuda, cuda:1..., or auto: a GPU if there is one


def run(settings: Settings) -> int:
    from wherewhat_pl.evaluation.select import select

    runs = ",".join(os.path.expanduser(pattern) for pattern in settings.runs.split(","))
    out = os.path.expanduser(settings.out) if settings.out else None
    return select(runs, settings.tpl, out, settings.active, settings.device, settings)
