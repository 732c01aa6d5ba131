"""Checkpoints that survive a kill at any moment: temporary file, fsync, rename; ``last.ckpt`` links to the newest.

Lightning's own callback ignores its time interval under manual optimization and saves nothing at the end if an older
save exists, so this small one saves at batch ends, every so many images or minutes, and always at the end.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_warn

from data_modules.errors import one_line
from wherewhat_pl.callbacks.periodic import EveryImages
from wherewhat_pl.run.checkpoints import seal
from wherewhat_pl.run.files import replacing
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.settings import CheckpointConfig
from wherewhat_pl.system import DisentanglingGAN

BATCHES_BETWEEN_TIME_CHECKS = 20  # with several ranks each check is a broadcast


class AtomicCheckpoint(EveryImages):
    """Save every ``interval_kimg`` images or ``interval_minutes``, whichever comes first, and at the end.

    Nothing is saved once a loss or a weight is not finite: the last good checkpoint stays the last one.

    Attributes:
        missed: whether one could not be written.
    """

    def __init__(self, run: RunDir, settings: CheckpointConfig) -> None:
        super().__init__(settings.interval_kimg)
        self.run, self.settings, self.missed = run, settings, False
        self._saved_at: int | None = None
        self._saved_time = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self._saved_time = time.monotonic()
        self._saved_at = system.images_seen or None

    def is_due(self, trainer: pl.Trainer, system: DisentanglingGAN) -> bool:
        if super().is_due(trainer, system):
            return True
        if (system.images_seen // system.config.trainer.batch_size) % BATCHES_BETWEEN_TIME_CHECKS:
            return False
        is_late = time.monotonic() - self._saved_time > self.settings.interval_minutes * 60
        return trainer.strategy.broadcast(is_late)  # the processes' watches differ; the first one's counts

    def on_images(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:
        try:
            self.save(trainer, system)
        except OSError as error:
            self.missed = True
            rank_zero_warn(f"checkpoint: not saved at {system.images_seen:,} images ({error}); training goes on")

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self.save(trainer, system)

    def save(self, trainer: pl.Trainer, system: DisentanglingGAN) -> Path:
        """Save now, on all ranks together; does nothing if this moment is saved already.

        Raises:
            NonFiniteError: a loss or weight is not finite.
            OSError: the file cannot be written, e.g. the disk is full; what was there before stays.
        """
        path = self.run.checkpoint_at(system.images_seen)
        if self._saved_at == system.images_seen:
            return path
        system.require_finite()
        system.require_equal()
        trainer.save_checkpoint(path, weights_only=False)
        writer = trainer.strategy.checkpoint_io
        assert isinstance(writer, SealedCheckpoints)
        if failure := trainer.strategy.broadcast(writer.failure):  # only the first process writes, and knows
            raise OSError(failure)
        if trainer.is_global_zero:
            self._link_last(path)
            kept = self.run.kept_checkpoints()
            newer = [other for other in kept if other.name > path.name]  # damaged: this run went on from before them
            for other in [*newer, *kept[len(newer) + self.settings.keep :]]:
                other.unlink(missing_ok=True)
        self._saved_at, self._saved_time = system.images_seen, time.monotonic()
        return path

    def _link_last(self, path: Path) -> None:
        link = path.with_name(".last.ckpt.partial")
        with contextlib.suppress(OSError):  # a convenience; some file systems have no links
            link.unlink(missing_ok=True)
            link.symlink_to(path.name)
            os.replace(link, self.run.last_checkpoint)


class SealedCheckpoints(TorchCheckpointIO):
    """Writes checkpoints whole and sealed, or not at all.

    Attributes:
        failure: why the last one could not be written, naming the file; None if it was. It is not raised, since the
            other processes wait for this one to come to the end of Lightning's saving.
    """

    failure: str | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        self.failure = None
        try:
            with replacing(Path(path)) as temporary:
                with temporary.open("wb") as file:
                    torch.save(checkpoint, file)
                seal(temporary)
        except (OSError, RuntimeError) as error:
            # A full disk: torch's writer comes to its own conclusion, in its own words, from the file's error.
            cause = error.__context__ if isinstance(error.__context__, OSError) else error
            self.failure = f"{path}: {one_line(str(cause.strerror if isinstance(cause, OSError) else cause))}"
