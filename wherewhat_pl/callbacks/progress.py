"""The one line a user watches: images, images per second, time left and the losses; redrawn only on a terminal."""

from __future__ import annotations

import sys
import time

import pytorch_lightning as pl
from tqdm import tqdm

from wherewhat_pl.system import DisentanglingGAN

SECONDS_BETWEEN_LINES = 30.0  # where there is no terminal, as in a job's log
SHORT_NAMES = {
    "loss/generator_adversarial": "G",
    "loss/discriminator_adversarial": "D",
    "loss/ps": "PS",
    "loss/infogan": "Q",
    "loss/r1": "R1",
}


class ImagesProgressBar(pl.Callback):
    """Progress in images, with the losses of the newest row, so that it costs no sync."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._started = self._written = 0.0
        self._first = 0

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self._started = self._written = time.monotonic()
        self._first = system.images_seen
        if trainer.is_global_zero and sys.stderr.isatty():
            self._bar = tqdm(
                total=system.max_images,
                initial=system.images_seen,
                unit="img",
                unit_scale=True,
                dynamic_ncols=True,
                desc="training",
                mininterval=0.5,
                smoothing=0.1,
            )

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if self._bar is not None:
            self._bar.set_postfix_str(_losses(system), refresh=False)
            self._bar.update(min(system.images_seen, system.max_images) - self._bar.n)
        elif trainer.is_global_zero and time.monotonic() - self._written > SECONDS_BETWEEN_LINES:
            self._write_line(system)

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        if self._bar is None and trainer.is_global_zero and system.images_seen > self._first:
            self._write_line(system)

    def _write_line(self, system: DisentanglingGAN) -> None:
        self._written = time.monotonic()
        line = tqdm.format_meter(
            min(system.images_seen, system.max_images),
            system.max_images,
            self._written - self._started,
            ncols=0,
            prefix="training",
            unit="img",
            unit_scale=True,
            initial=self._first,
            postfix=_losses(system),
        )
        print(line, file=sys.stderr, flush=True)

    def on_exception(self, trainer: pl.Trainer, system: pl.LightningModule, exception: BaseException) -> None:
        self._close()  # Lightning tears callbacks down only after a fit that went well

    def teardown(self, trainer: pl.Trainer, system: pl.LightningModule, stage: str) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _losses(system: DisentanglingGAN) -> str:
    return ", ".join(
        f"{short}={system.latest[name]:.3g}" for name, short in SHORT_NAMES.items() if name in system.latest
    )
