"""Traversals with their masks, drawn by the averaged generator every so many images."""

from __future__ import annotations

import warnings

import numpy as np
import pytorch_lightning as pl

from data_modules.errors import one_line
from wherewhat_pl.analysis.traverse import traverse
from wherewhat_pl.callbacks.periodic import EveryImages
from wherewhat_pl.pictures.traversal import traversal_picture
from wherewhat_pl.run.files import replacing
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.settings import PicturesConfig
from wherewhat_pl.system import DisentanglingGAN


class TraversalPictures(EveryImages):
    """Write ``traversals/images-NNN.png``, and send it to the loggers that take pictures.

    A picture that cannot be written (a full disk) costs one warning.

    Attributes:
        missed: whether a picture could not be written.
    """

    def __init__(self, run: RunDir, settings: PicturesConfig) -> None:
        super().__init__(settings.interval_kimg)
        self.run, self.settings, self.missed = run, settings, False

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        if self.settings.at_start and not system.images_seen:
            self.on_images(trainer, system)

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        if system.images_seen >= system.max_images:  # whoever sent a signal is waiting
            self.on_images(trainer, system)

    def on_images(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:
        """Draw now, on the first rank; a picture that is there already is left."""
        path = self.run.picture_at(system.images_seen)
        if not trainer.is_global_zero or path.exists():
            return
        picture = traversal_picture(traverse(system.model(), columns=self.settings.columns, seed=system.config.seed))
        try:
            path.parent.mkdir(exist_ok=True)
            with replacing(path) as temporary:
                picture.save(temporary, format="PNG")
        except OSError as error:
            if not self.missed:
                warnings.warn(f"{path}: cannot be written ({one_line(error.strerror or error)}); training goes on")
            self.missed = True
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("traversals", [np.asarray(picture)], step=system.images_seen)
