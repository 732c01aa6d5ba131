"""Metrics during training, of the averaged generator, into the same ``eval.jsonl`` that ``make eval`` writes."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from data_modules.base import DeviceDataModule
from data_modules.errors import one_line
from wherewhat_pl import signals
from wherewhat_pl.callbacks.periodic import EveryImages
from wherewhat_pl.evaluation.context import EvalSettings, EvaluationContext
from wherewhat_pl.evaluation.evaluate import identity, measure
from wherewhat_pl.evaluation.ranking import tpl_objective
from wherewhat_pl.evaluation.registry import METRICS, check_metrics
from wherewhat_pl.evaluation.results import Row, find_result, read_results
from wherewhat_pl.run.files import PatientRows, read_rows
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.settings import EvalConfig
from wherewhat_pl.system import DisentanglingGAN


class Evaluation(EveryImages):
    """Measure every ``interval_kimg`` images. What a run continued after a kill has measured is not measured again.

    All processes share a metric that can be split; the others are measured by the first one alone.

    Args:
        run: whose ``eval.jsonl``.
        settings: interval and metrics.
        system: what is trained.
        data: what it is trained on, set up.

    Raises:
        ConfigError: a metric that does not exist, or that this run cannot be measured by; before any training.
    """

    def __init__(self, run: RunDir, settings: EvalConfig, system: DisentanglingGAN, data: DeviceDataModule) -> None:
        super().__init__(settings.interval_kimg)
        self.run, self.settings, self.data = run, settings, data
        self.rows = PatientRows(run.eval_file)
        self.measured_by = EvalSettings(distance=settings.distance, threshold=settings.threshold)
        if settings.interval_kimg is not None:
            check_metrics(settings.metrics, self._context(system), key="eval.metrics")

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        if system.images_seen and self.is_due(trainer, system):  # what a signal or a kill has kept from being measured
            self.on_images(trainer, system)

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self.rows.write()

    def on_images(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:
        """Measure now, on all processes together; a signal ends it, and what is missing is measured on continuing."""
        context = self._context(system)
        if trainer.world_size == 1:  # several processes must measure the same
            context.progress = _end_if_stopped
        known = read_results(self.run.eval_file) if trainer.is_global_zero else []
        found = {name: find_result(known, identity(name, context)) for name in self.settings.metrics}
        found = trainer.strategy.broadcast(found)  # only the first process reads the file
        for name, row in found.items():
            if row is None and not (METRICS[name].split or trainer.is_global_zero):
                continue
            try:
                row = row or measure(name, context)
            except _Stopped:
                return
            except Exception as error:
                if trainer.world_size > 1 and METRICS[name].split:  # the others wait for what this one cannot give
                    raise
                rank_zero_warn(f"{name}: not measured at {system.images_seen:,} images ({one_line(error)})")
                continue
            if trainer.is_global_zero:
                self._write(trainer, row, is_new=found[name] is None)
        trainer.strategy.barrier("evaluation")

    def _write(self, trainer: pl.Trainer, row: Row, is_new: bool) -> None:
        """Into ``eval.jsonl``, and to the loggers what they do not have: a continued run's rows are written again."""
        if is_new:
            self.rows.append(row)
        key, images_seen = f"eval/{row['metric']}", row["images_seen"]
        logged = any(key in old and old.get("images_seen") == images_seen for old in read_rows(self.run.metrics_file))
        if row["value"] is not None and not logged:
            numbers = {key: row["value"]}
            if METRICS[row["metric"]].is_tpl:  # of a TPL also the objective of sweeps, which is made of it
                numbers["eval/tpl_objective"] = tpl_objective(int(row["values"]["num_active"]), row["value"])
            for logger in trainer.loggers:
                logger.log_metrics(numbers, step=images_seen)

    def _context(self, system: DisentanglingGAN) -> EvaluationContext:
        data = self.data
        return EvaluationContext(system.model(), self.measured_by, data, system.images_seen, data.provenance)


class _Stopped(Exception):
    """A signal came while a metric was measured."""


def _end_if_stopped(done: int, total: int) -> None:
    if signals.received() is not None:
        raise _Stopped
