"""Measure a run; each result is a line of its eval.jsonl, measured once."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.evaluation.settings import DataPlace, EvalSettings

EXAMPLE = "run=runs/shapes3d_quick/seed0 metrics=tpl_small,fvm,mig"


@dataclass(frozen=True)
class Settings(EvalSettings):
    run: str = MISSING  # the run's folder
    metrics: list[str] = field(default_factory=list)  # names: see docs/evaluation.md; none: the usual ones it allows
    checkpoint: str | None = None  # a file, or the name of one in the run's checkpoints/; null: the newest
    device: str = "auto"  # cpu, cuda, cuda:1..., or auto: a GPU if there is one
    plugins: list[str] = field(default_factory=list)  # modules of your own that define metrics
    data: DataPlace = field(default_factory=DataPlace)
    force: bool = False  # measure again what was measured before


def run(settings: Settings) -> int:
    from wherewhat_pl.evaluation.context import EvaluationContext
    from wherewhat_pl.evaluation.evaluate import evaluate
    from wherewhat_pl.evaluation.registry import METRICS, default_metrics
    from wherewhat_pl.memory import keep_freed_memory
    from wherewhat_pl.plugins import load_plugins
    from wherewhat_pl.run.loading import load_run

    keep_freed_memory()
    load_plugins(settings.plugins)
    for name in settings.metrics:  # before the run is loaded, which takes longer
        if name not in METRICS:
            raise ConfigError(f"metrics={name}: no such metric{suggestion(name, list(METRICS))}")
    loaded = load_run(settings.run, settings.checkpoint, settings.device, settings.data.moved())
    print(f"{loaded.run.path}, {loaded.images_seen:,} images seen, on {loaded.model.device}")
    context = EvaluationContext.of_run(loaded, settings)
    evaluate(context, settings.metrics or default_metrics(context), loaded.run.eval_file, settings.force)
    return 0
