"""Traversals with their masks, drawn by the averaged generator every so many images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from data_modules.randomness import generator_for
from wherewhat_pl.analysis.traverse import Traversal, traverse
from wherewhat_pl.callbacks.clock import is_due
from wherewhat_pl.pictures.traversal import traversal_picture
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.settings import PicturesConfig
from wherewhat_pl.system import DisentanglingGAN

PIXELS_AT_ONCE = 64 * 128**2  # per batch that is drawn: what fits beside a training at 128 px must fit at 512
CODES_FOR_CHANGE = 4  # base codes over which a latent's change is averaged, beside the one that is drawn


def traverse_system(system: DisentanglingGAN, columns: int = 9, seed: int = 0) -> Traversal:
    """The traversal of a training system's averaged generator, from a base code that depends on ``seed`` only."""
    generator = generator_for("cpu", seed, "traversal")
    bases = system.sample_latents(1 + CODES_FOR_CHANGE, generator)

    def draw(latents: torch.Tensor) -> Any:
        return system.generator_ema(latents, return_masks=True)

    batch_size = min(64, max(1, PIXELS_AT_ONCE // system.generator.resolution**2))
    masked = system.generator.masked_latents
    return traverse(draw, bases[0], masked, columns, change_over=bases[1:], batch_size=batch_size)


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
        picture = traversal_picture(traverse_system(system, self.settings.columns, system.config.seed))
        temporary = path.with_name(f".{path.name}")
        picture.save(temporary, format="PNG")
        temporary.replace(path)
        if self.wandb_run is not None:
            import wandb

            self.wandb_run.log({"traversals": wandb.Image(np.asarray(picture)), "images_seen": system.images_seen})
