"""From settings to what they describe: the data module and the system; reads no image, writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_modules.base import DeviceDataModule
from data_modules.registry import build_data
from wherewhat_pl.errors import CheckpointError, ConfigError
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
    return build_data(batch_size=config.trainer.batch_size, seed=config.seed, **vars(config.data))


def check_fits(system: DisentanglingGAN, checkpoint: dict[str, Any], path: Path) -> None:
    """Whether a training can go on from a checkpoint; raises :class:`CheckpointError` in one line if not."""
    weights, ours = checkpoint["state_dict"], system.state_dict()
    for name in sorted(weights.keys() ^ ours.keys()):
        raise CheckpointError(f"{path}: is of other networks ({'lacks' if name in ours else 'has'} {name})")
    for name, tensor in ours.items():
        if tensor.shape != weights[name].shape:
            raise CheckpointError(f"{path}: is of other networks ({name} is {list(weights[name].shape)})")
    states = checkpoint.get("optimizer_states")
    wanted = [len(group["params"]) for optimizer in system.configure_optimizers() for group in optimizer.param_groups]
    try:
        found = [len(group["params"]) for state in states or [] for group in state["param_groups"]]
    except (TypeError, KeyError):
        found = []
    if found != wanted:
        raise CheckpointError(f"{path}: lacks the optimizers' states; run.init_from={path} starts from its weights")
