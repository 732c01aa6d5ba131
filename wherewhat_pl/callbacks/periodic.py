"""What happens every so many images: when is a function of the clock alone, so it is the same in a resumed run."""

from __future__ import annotations

import pytorch_lightning as pl

from wherewhat_pl.system import DisentanglingGAN


class EveryImages(pl.Callback):
    """Calls :meth:`on_images` after each batch that reaches or passes a multiple of the interval.

    Args:
        interval_kimg: thousands of real images over all processes; None: never.
    """

    def __init__(self, interval_kimg: float | None) -> None:
        self.interval_kimg = interval_kimg

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if self.is_due(trainer, system):
            self.on_images(trainer, system)

    def is_due(self, trainer: pl.Trainer, system: DisentanglingGAN) -> bool:
        """Asked after every batch, on all processes alike."""
        return self.interval_kimg is not None and system.is_due(self.interval_kimg)

    def on_images(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:
        """What is to be done, on all processes together."""
        raise NotImplementedError
