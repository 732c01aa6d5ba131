"""Run a sweep file on this machine by Optuna; needs no account."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from wherewhat_pl.errors import require_at_least

EXAMPLE = "file=experiments/sweeps/shapes3d_quick_tpl.yaml count=12"


@dataclass(frozen=True)
class Settings:
    file: str = MISSING  # in W&B's own format; see docs/sweeps.md
    count: int | None = None  # trials in all, those of earlier calls included; null: the grid's, or the file's run_cap
    jobs: int = 1  # trials at a time; each gets its share of the GPUs and cores
    name: str | None = None  # of the sweep's folder; null: the file's
    root: str = "runs"  # folder of all runs; the sweep's is root/sweeps/name
    seed: int = 0  # of the search; each training has its own
    device: str = "auto"  # of the ranking at the end: cpu, cuda, cuda:1..., or auto


def run(settings: Settings) -> int:
    require_at_least(settings, count=1, jobs=1)
    from wherewhat_pl.launch.sweep_file import read_sweep

    sweep = read_sweep(settings.file)
    from wherewhat_pl.launch.sweep_local import sweep_locally

    folder = Path(settings.root) / "sweeps" / (settings.name or sweep.path.stem)
    return sweep_locally(sweep, folder, settings.count, settings.jobs, settings.seed, settings.device)
