"""Write a run's report.html, one file that fetches nothing."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from wherewhat_pl.evaluation.settings import EvalSettings

EXAMPLE = "run=runs/shapes3d_quick/seed0"


@dataclass(frozen=True)
class Settings(EvalSettings):
    run: str = MISSING  # the run's folder
    compute: bool = True  # measure what the page needs and nobody has measured yet
    device: str = "auto"  # cpu, cuda, cuda:1..., or auto: a GPU if there is one


def run(settings: Settings) -> int:
    from wherewhat_pl.report.report import write_report
    from wherewhat_pl.run.loading import load_run

    loaded = load_run(settings.run, device=settings.device)
    print(f"report   {write_report(loaded, settings.compute, settings)}")
    return 0
