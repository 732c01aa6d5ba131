"""Rank runs, and decoders of others, by TPL, without labels."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from wherewhat_pl.evaluation.settings import EvalSettings

EXAMPLE = "runs='runs/shapes3d/*'"


@dataclass(frozen=True)
class Settings(EvalSettings):
    runs: str = MISSING  # run folders, folders of runs or of .onnx decoders, or patterns of them; several with commas
    tpl: str = "tpl_small"  # which TPL; measured where it is missing
    out: str | None = None  # folder for the table and the plot; null: `selection` beside the models
    active: int | None = None  # number of active dimensions that is wanted; null: groups with more come first
    device: str = "auto"  # cpu, cuda, cuda:1..., or auto: a GPU if there is one


def run(settings: Settings) -> int:
    from wherewhat_pl.evaluation.select import select

    return select(settings.runs, settings.tpl, settings.out, settings.active, settings.device, settings)
