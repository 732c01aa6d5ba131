"""Processes that train together must have been started alike: another seed on one of them would go unnoticed."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from data_modules.base import DeviceDataModule
from wherewhat_pl.config import to_dict
from wherewhat_pl.distributed import sum_over_processes
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.run.files import flatten
from wherewhat_pl.settings import ExperimentConfig

OWN = ("trainer.threads", "data.root", "data.cache")  #: settings that may differ from machine to machine


class SameStart(pl.Callback):
    """Compares every process' settings and data with the first one's, before the first step.

    Args:
        config: of this process.
        data: set up.

    Raises:
        ConfigError: from ``on_fit_start`` on all processes, if any differs; the differing one names the key.
    """

    def __init__(self, config: ExperimentConfig, data: DeviceDataModule) -> None:
        settings = {key: value for key, value in flatten(to_dict(config)).items() if key not in OWN}
        self.start: dict[str, Any] = settings | {"the data's fingerprint": data.fingerprint}

    def on_fit_start(self, trainer: pl.Trainer, system: pl.LightningModule) -> None:
        first: dict[str, Any] = trainer.strategy.broadcast(self.start)
        different = [key for key in self.start if self.start[key] != first.get(key)]
        if not sum_over_processes(torch.tensor(len(different), device=system.device)):
            return
        if not different:
            raise ConfigError("another process was started with other settings or data than this one; it says which")
        key = different[0]
        raise ConfigError(
            f"{key}={self.start[key]}: process {trainer.global_rank} was started with this, the first one with "
            f"{first.get(key)}; start all of them alike"
        )
