"""Losses and speed as rows of ``metrics.jsonl``, and the same rows to Weights & Biases; the x-axis is images_seen."""

from __future__ import annotations

import json
import time
from typing import Any

import pytorch_lightning as pl

from wherewhat_pl.callbacks.clock import is_due
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.system import DisentanglingGAN


class MetricsLog(pl.Callback):
    """Read the accumulated losses every ``interval_kimg``: the only place where a step waits for the device.

    Args:
        run: whose ``metrics.jsonl``.
        interval_kimg: between two rows.
        wandb_run: a ``wandb`` run to log to as well, or None.

    Attributes:
        latest: the newest row, for the progress bar.

    Raises:
        NonFiniteError: from ``on_train_batch_end``, if a loss is NaN or infinite.
    """

    def __init__(self, run: RunDir, interval_kimg: float, wandb_run: Any = None) -> None:
        self.run, self.interval_kimg, self.wandb_run = run, interval_kimg, wandb_run
        self.latest: dict[str, float] = {}
        self._since: tuple[float, int] = (0.0, 0)

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self._since = (time.monotonic(), system.images_seen)

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if is_due(system.images_seen, system.config.trainer.batch_size, self.interval_kimg):
            self._write(trainer, system)

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self._write(trainer, system)

    def _write(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:
        means = system.read_losses()  # on all ranks: it reduces
        if not means or not trainer.is_global_zero:
            return
        now, (then, images_then) = time.monotonic(), self._since
        self._since = (now, system.images_seen)
        self.append(
            system.images_seen,
            {
                f"loss/{name}" if not name.endswith(("score", "probability")) else f"discriminator/{name}": value
                for name, value in means.items()
            }
            | {"images_per_s": (system.images_seen - images_then) / max(now - then, 1e-9)},
        )

    def append(self, images_seen: int, values: dict[str, float]) -> None:
        """Append one row, if there is anything to tell; call on the first rank only."""
        if not values:
            return
        self.latest = values
        row = {"images_seen": images_seen, **values}
        with self.run.metrics_file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if self.wandb_run is not None:
            self.wandb_run.log(row)
