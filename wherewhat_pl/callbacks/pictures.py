"""Traversals with their masks, drawn by the averaged generator every so many images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from wherewhat_pl.analysis.traverse import traverse
from wherewhat_pl.callbacks.clock import is_due
from wherewhat_pl.pictures.traversal import traversal_picture
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.settings import PicturesConfig
from wherewhat_pl.system import DisentanglingGAN


class TraversalPictures(pl.Callback):
    """Write ``traversals/images-NNN.png`` and send it to Weights & Biases.

    Args:
        run: where to.
        settings: interval and columns.
        wandb_run: a ``wandb`` run to log to as well, or None.
    """

    def __init__(self, run: RunDir, settings: PicturesConfig, wandb_run: Any = None) -> None:
        self.run, self.settings, self.wandb_run = run, settings, wandb_run

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        if self.settings.at_start and not system.images_seen:
            self.draw(trainer, system)

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if is_due(system.images_seen, system.config.trainer.batch_size, self.settings.interval_kimg):
            self.draw(trainer, system)

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self.draw(trainer, system)

    def path_at(self, images_seen: int) -> Path:
        return self.run.pictures / f"images-{images_seen:09d}.png"

    def draw(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:
        """Draw now, on the first rank; a picture that is there already is left."""
        path = self.path_at(system.images_seen)
        if not trainer.is_global_zero or path.exists():
            return
        picture = traversal_picture(traverse(system.model(), columns=self.settings.columns, seed=system.config.seed))
        temporary = path.with_name(f".{path.name}")
        picture.save(temporary, format="PNG")
        temporary.replace(path)
        if self.wandb_run is not None:
            import wandb

            self.wandb_run.log({"traversals": wandb.Image(np.asarray(picture)), "images_seen": system.images_seen})
