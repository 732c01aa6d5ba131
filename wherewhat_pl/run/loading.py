"""A trained run found by its folder alone: the model it left, and the settings and data it was trained with."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch

from data_modules.base import DeviceDataModule
from wherewhat_pl.errors import CheckpointError, ConfigError
from wherewhat_pl.model import Model, build_generator, build_recognizer
from wherewhat_pl.run.build import data_for
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir, find_run
from wherewhat_pl.settings import ExperimentConfig, Source


@dataclass(frozen=True)
class LoadedRun:
    """What a run left, and where it came from.

    Attributes:
        run: its folder.
        config: its settings.
        model: its averaged networks.
        data: its data module, not set up.
        images_seen: how long the model was trained.
    """

    run: RunDir
    config: ExperimentConfig
    model: Model
    data: DeviceDataModule
    images_seen: int


def load(path: str | Path, checkpoint: str | Path | None = None, device: str | torch.device = "cpu") -> Model:
    """The model of a trained run.

    Args:
        path: the run's folder.
        checkpoint: a file, or the name of one in the run's ``checkpoints``; None: the newest one that can be read.
        device: ``cpu``, ``cuda``, ``cuda:1``..., or ``auto``: a GPU if there is one.

    Raises:
        ConfigError: no run there, none of its checkpoints finished, or no such device.
        CheckpointError: the checkpoint cannot be read.
    """
    run = find_run(path)
    place, file = torch_device(device), _checkpoint_file(run, checkpoint)
    return _model_from(load_checkpoint(file), run.settings(), file).to(place)


def load_run(path: str | Path, checkpoint: str | Path | None = None, device: str | torch.device = "cpu") -> LoadedRun:
    """A run's model with its settings and data; arguments and errors as for :func:`load`.

    Data that was chosen by ``data.source=auto`` stays what it was in training: an official file that has come since
    would otherwise turn the measured images into others.
    """
    run = find_run(path)
    place, file = torch_device(device), _checkpoint_file(run, checkpoint)
    config, state = run.settings(), load_checkpoint(file)
    source: Any = run.data_provenance().get("source")
    if config.data.source == "auto" and source:  # "folder", "zip"... are photographs that lay in data.root
        config = replace(config, data=replace(config.data, source=source if source in get_args(Source) else "files"))
    model = _model_from(state, config, file).to(place)
    return LoadedRun(run, config, model, data_for(config), int(state["images_seen"]))


def _model_from(state: dict[str, Any], config: ExperimentConfig, file: Path) -> Model:
    """The averaged networks in a checkpoint; of the recognizer the average if there is one."""
    weights: dict[str, torch.Tensor] = state["state_dict"]
    channels = weights["generator_ema.to_rgb.weight"].shape[0]
    generator = build_generator(config.model, channels)
    recognizer = build_recognizer(config.model, config.data.resolution, channels, generator.num_latents)
    averaged = any(name.startswith("recognizer_ema.") for name in weights)
    for network, prefix in ((generator, "generator_ema."), (recognizer, f"recognizer{'_ema' * averaged}.")):
        if network is not None:
            own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
            try:
                network.load_state_dict(own)
            except RuntimeError as error:
                reason = str(error).splitlines()[-1].strip()
                raise CheckpointError(f"{file}: is of other networks ({reason})") from None
            network.requires_grad_(False)
            if config.trainer.channels_last:  # as in training: other layouts give other last bits
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(generator, recognizer, config.model.prior)


def torch_device(name: str | torch.device) -> torch.device:
    """A device that is there; raises :class:`ConfigError` otherwise."""
    if str(name) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError(f"device={name}: there is no such device here; use cpu, cuda or auto") from None
    return device


def _checkpoint_file(run: RunDir, wanted: str | Path | None) -> Path:
    if wanted is not None:
        inside = run.checkpoints / wanted
        return inside if inside.exists() else Path(os.path.expanduser(wanted))
    newest, _, complaints = run.newest_sound_checkpoint()
    if newest is None and complaints:
        first = complaints[0].removesuffix("; using the one before it")
        raise CheckpointError(f"run={run.path}: none of its checkpoints can be read ({first})")
    if newest is None:
        raise ConfigError(f"run={run.path}: has no finished checkpoint yet; train it further, then try again")
    for complaint in complaints:
        print(f"warning: {complaint}", file=sys.stderr)
    return newest
