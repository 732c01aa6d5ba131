"""A trained run found by its folder alone: the model it left, and the settings and data it was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch

from data_modules.base import DeviceDataModule
from wherewhat_pl.model import Model, torch_device
from wherewhat_pl.run.build import data_for
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir, find_run
from wherewhat_pl.run.model_of import checkpoint_file, model_from
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


def load_run(
    path: str | Path,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "cpu",
    moved: Mapping[str, Any] | None = None,
) -> LoadedRun:
    """A run's model with its settings and data; arguments and errors as for :func:`model_of_run`.

    Data that was chosen by ``data.source=auto`` stays what it was in training: an official file that has come since
    would otherwise turn the measured images into others. ``moved`` says where images are now: ``root``, ``cache``.
    """
    run = find_run(path)
    place, file = torch_device(device), checkpoint_file(run, checkpoint)
    config, state = run.settings(), load_checkpoint(file)
    source: Any = run.data_provenance().get("source")
    if config.data.source == "auto" and source:  # "folder", "zip"... are photographs that lay in data.root
        config = replace(config, data=replace(config.data, source=source if source in get_args(Source) else "files"))
    config = replace(config, data=replace(config.data, **(moved or {})))
    model = model_from(state, run, config, file).to(place)
    return LoadedRun(run, config, model, data_for(config), int(state["images_seen"]))
