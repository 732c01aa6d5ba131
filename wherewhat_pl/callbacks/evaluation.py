"""Metrics during training, of the averaged generator, into the same ``eval.jsonl`` that ``make eval`` writes."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from data_modules.base import DeviceDataModule
from wherewhat_pl.callbacks.clock import is_due
from wherewhat_pl.evaluation.context import EvalSettings, EvaluationContext
from wherewhat_pl.evaluation.evaluate import identity, measure
from wherewhat_pl.evaluation.registry import METRICS, check_metrics
from wherewhat_pl.evaluation.results import append_result, find_result, read_results
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.settings import EvalConfig
from wherewhat_pl.system import DisentanglingGAN


class Evaluation(pl.Callback):
    """Measure every ``interval_kimg`` images. What a run continued after a kill has measured is not measured again.

    All processes share a metric that can be split; the others are measured by the first one alone.

    Args:
        run: whose ``eval.jsonl``.
        settings: interval and metrics.
        system: what is trained.
        data: what it is trained on, set up.
        wandb_run: a ``wandb`` run to log to as well, or None.

    Raises:
        ConfigError: a metric that does not exist, or that this run cannot be measured by; before any training.
    """

    def __init__(
        self,
        run: RunDir,
        settings: EvalConfig,
        system: DisentanglingGAN,
        data: DeviceDataModule,
        wandb_run: Any = None,
    ) -> None:
        self.run, self.settings, self.wandb_run = run, settings, wandb_run
        self.measured_by = EvalSettings(distance=settings.distance, threshold=settings.threshold)
        self.data = data
        if settings.interval_kimg is not None:
            check_metrics(settings.metrics, self._context(system), key="eval.metrics")

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        interval = self.settings.interval_kimg
        if interval is not None and is_due(system.images_seen, system.config.trainer.batch_size, interval):
            self.evaluate(trainer, system)

    def evaluate(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:
        """Measure now, on all processes together."""
        context = self._context(system)
        known = read_results(self.run.eval_file) if trainer.is_global_zero else []
        missing = [
            name for name in dict.fromkeys(self.settings.metrics) if find_result(known, identity(name, context)) is None
        ]
        if trainer.world_size > 1:  # only the first process reads the file; all must measure the same
            missing = trainer.strategy.broadcast(missing)
        for name in missing:
            if not (METRICS[name].split or trainer.is_global_zero):
                continue
            row = measure(name, context)
            if trainer.is_global_zero:
                append_result(self.run.eval_file, row)
                if self.wandb_run is not None and row["value"] is not None:
                    self.wandb_run.log({f"eval/{name}": row["value"], "images_seen": system.images_seen})
        trainer.strategy.barrier("evaluation")

    def _context(self, system: DisentanglingGAN) -> EvaluationContext:
        data = self.data
        trained_on = {"name": data.name, "source": data.source, "fingerprint": data.fingerprint}
        return EvaluationContext(system.model(), self.measured_by, data, system.images_seen, trained_on)
