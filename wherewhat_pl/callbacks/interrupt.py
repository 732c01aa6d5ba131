"""A signal ends a run after the batch at hand, saved; the handler itself (``signals.py``) only sets a flag.

Saving inside a signal handler can put half a step into the checkpoint, so nothing is done there.
"""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from wherewhat_pl import signals
from wherewhat_pl.callbacks.checkpoint import AtomicCheckpoint
from wherewhat_pl.distributed import max_over_processes
from wherewhat_pl.system import DisentanglingGAN

BATCHES_BETWEEN_AGREEMENTS = 20  # with several ranks, all must leave after the same batch


class GracefulStop(pl.Callback):
    """Save and stop at the end of a batch once a signal has come, to whichever process.

    Attributes:
        received: the signal that ended the run, or None.
    """

    def __init__(self, checkpoint: AtomicCheckpoint) -> None:
        self.checkpoint = checkpoint
        self.received: int | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        batches = system.images_seen // system.config.trainer.batch_size
        if trainer.world_size > 1 and batches % BATCHES_BETWEEN_AGREEMENTS:
            return
        self._agree(trainer, system)
        if self.received is not None:
            self.checkpoint.save(trainer, system)
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self._agree(trainer, system)  # on what came after the last time

    def _agree(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:
        self.received = signals.received()
        if trainer.world_size > 1:
            self.received = int(max_over_processes(torch.tensor(self.received or 0, device=system.device))) or None
