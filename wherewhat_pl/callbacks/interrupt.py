"""Ctrl-C and SIGTERM end a run after the batch at hand, saved; the handler itself only sets a flag.

Saving inside a signal handler can put half a step into the checkpoint, so nothing is done there.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch

from wherewhat_pl.callbacks.checkpoint import AtomicCheckpoint
from wherewhat_pl.distributed import max_over_processes
from wherewhat_pl.system import DisentanglingGAN

SIGNALS = (signal.SIGINT, signal.SIGTERM)
BATCHES_BETWEEN_AGREEMENTS = 20  # with several ranks, all must leave after the same batch


class GracefulStop(pl.Callback):
    """Save and stop at the end of a batch once a signal has come; a second Ctrl-C stops at once.

    Args:
        checkpoint: what saves.

    Attributes:
        received: the signal that ended the run, or None.
    """

    def __init__(self, checkpoint: AtomicCheckpoint) -> None:
        self.checkpoint = checkpoint
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, system: pl.LightningModule) -> None:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.received = number

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if self._agreed(trainer, system):
            self.checkpoint.save(trainer, system)
            trainer.should_stop = True

    def _agreed(self, trainer: pl.Trainer, system: DisentanglingGAN) -> bool:
        if trainer.world_size == 1:
            return self.received is not None
        if (system.images_seen // system.config.trainer.batch_size) % BATCHES_BETWEEN_AGREEMENTS:
            return False
        self.received = int(max_over_processes(torch.tensor(self.received or 0, device=system.device))) or None
        return self.received is not None

    def on_exception(self, trainer: pl.Trainer, system: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def teardown(self, trainer: pl.Trainer, system: pl.LightningModule, stage: str) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
