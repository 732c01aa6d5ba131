"""From settings to what they describe: the data module and the system; reads no image, writes nothing."""

from __future__ import annotations

from data_modules.base import DeviceDataModule
from data_modules.registry import build_data
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.settings import ExperimentConfig
from wherewhat_pl.system import DisentanglingGAN


def build_system(config: ExperimentConfig, data: DeviceDataModule) -> DisentanglingGAN:
    """The system for a data set; raises :class:`ConfigError` where networks and data do not fit."""
    try:
        return DisentanglingGAN(config, data.channels)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def data_for(config: ExperimentConfig) -> DeviceDataModule:
    """The data module of an experiment, not set up."""
    return build_data(
        config.data.name,
        resolution=config.data.resolution,
        batch_size=config.trainer.batch_size,
        seed=config.seed,
        mirror=config.data.mirror,
        source=config.data.source,
        root=config.data.root,
        cache=config.data.cache,
        max_bad=config.data.max_bad,
    )
