"""The one line a user watches: images, images per second, time left and the losses."""

from __future__ import annotations

import sys

import pytorch_lightning as pl
from tqdm import tqdm

from wherewhat_pl.callbacks.metrics_log import MetricsLog
from wherewhat_pl.system import DisentanglingGAN

SHORT_NAMES = {
    "loss/generator_adversarial": "G",
    "loss/discriminator_adversarial": "D",
    "loss/ps": "PS",
    "loss/infogan": "Q",
    "loss/r1": "R1",
}


class ImagesProgressBar(pl.Callback):
    """A tqdm bar in images; the losses are those of the newest row of ``metrics.jsonl``, so it costs no sync.

    Args:
        metrics: where the newest row is.
        max_images: length of the training.
    """

    def __init__(self, metrics: MetricsLog, max_images: int) -> None:
        self.metrics, self.max_images = metrics, max_images
        self._bar: tqdm | None = None

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            self._bar = tqdm(
                total=self.max_images,
                initial=system.images_seen,
                unit="img",
                unit_scale=True,
                dynamic_ncols=True,
                desc="training",
                mininterval=0.5 if sys.stderr.isatty() else 15.0,
                smoothing=0.1,
            )

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if self._bar is not None:
            values = {
                short: f"{self.metrics.latest[name]:.3g}"
                for name, short in SHORT_NAMES.items()
                if name in self.metrics.latest
            }
            self._bar.set_postfix(values, refresh=False)
            self._bar.update(min(system.images_seen, self.max_images) - self._bar.n)

    def on_exception(self, trainer: pl.Trainer, system: pl.LightningModule, exception: BaseException) -> None:
        self._close()  # Lightning tears callbacks down only after a fit that went well

    def teardown(self, trainer: pl.Trainer, system: pl.LightningModule, stage: str) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
