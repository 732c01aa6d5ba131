"""The one line a user watches: images, images per second, time left and the losses; redrawn only on a terminal."""

from __future__ import annotations

import io
import math
import sys
import time
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

from wherewhat_pl.system import DisentanglingGAN

SECONDS_BETWEEN_LINES = 30.0  # where there is no terminal, as in a job's log
SHORT_NAMES = {
    "loss/generator_adversarial": "G",
    "loss/discriminator_adversarial": "D",
    "loss/ps": "PS",
    "loss/infogan": "Q",
    "loss/isometry": "iso",
    "loss/r1": "R1",
}


class ImagesProgressBar(pl.Callback):
    """A tqdm bar in images, or plain lines; the losses are those of the newest row, so it costs no sync."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._written = (0.0, 0)  # time and images of the newest plain line

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        if not trainer.is_global_zero:
            return
        self._is_terminal, self._written = sys.stderr.isatty(), (time.monotonic(), system.images_seen)
        settings: dict[str, Any] = {"dynamic_ncols": True, "mininterval": 0.5}
        if not self._is_terminal:  # a bar that is never drawn and formats the lines
            settings = {"ncols": 0, "mininterval": math.inf, "file": io.StringIO()}
        settings |= {"total": system.max_images, "initial": system.images_seen, "unit": "img", "unit_scale": True}
        self._bar = tqdm(**settings, desc="training", smoothing=0.1)

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if self._bar is not None:
            losses = {short: system.latest[name] for name, short in SHORT_NAMES.items() if name in system.latest}
            self._bar.set_postfix(losses, refresh=False)
            self._bar.update(min(system.images_seen, system.max_images) - self._bar.n)
            self._write_line(system, SECONDS_BETWEEN_LINES)

    def on_train_end(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        self._write_line(system, 0.0)

    def _write_line(self, system: DisentanglingGAN, after_seconds: float) -> None:
        if self._bar is None or self._is_terminal:
            return
        (then, images), now = self._written, time.monotonic()
        if system.images_seen > images and now - then > after_seconds:
            self._written = now, system.images_seen
            print(self._bar, file=sys.stderr, flush=True)

    def on_exception(self, trainer: pl.Trainer, system: pl.LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, system, "fit")  # Lightning tears callbacks down only after a fit that went well

    def teardown(self, trainer: pl.Trainer, system: pl.LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
