"""What a training costs: a row of ``cost.jsonl`` with each checkpoint, which a continued run adds to."""

from __future__ import annotations

import time

import pytorch_lightning as pl

from wherewhat_pl.run.files import PatientRows
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.system import DisentanglingGAN


class Cost(pl.Callback):
    """Write minutes of CPU time (user and system) and of the clock, summed over continuations.

    Minutes count from the first step on, pictures and evaluations in between included. What was done after the last
    checkpoint and lost counts once, when it is done again. Of several processes, which do the same work, the CPU time
    is the first one's times their number. Where the part before a continuation was not recorded, nothing is written.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.rows = PatientRows(run.cost_file)
        self._began = (0.0, 0.0)
        self._before: dict[str, float] | None = None

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self._began = (time.process_time(), time.monotonic())
        nothing = {"cpu_minutes": 0.0, "wall_minutes": 0.0}
        self._before = self.run.cost_at(system.images_seen) if system.images_seen else nothing

    def on_save_checkpoint(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if trainer.is_global_zero and self._before is not None:
            since = {
                "cpu_minutes": (time.process_time() - self._began[0]) / 60 * trainer.world_size,
                "wall_minutes": (time.monotonic() - self._began[1]) / 60,
            }
            minutes = {name: round(self._before[name] + value, 4) for name, value in since.items()}
            self.rows.append({"images_seen": system.images_seen, **minutes})

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self.rows.write()
