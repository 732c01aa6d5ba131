"""A trained run, ready to be measured or drawn from: settings, networks and data, found by its folder alone."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
import yaml
from torch import Tensor

from data_modules.base import DeviceDataModule
from wherewhat_pl.config import saved_config
from wherewhat_pl.errors import CheckpointError, ConfigError
from wherewhat_pl.networks.masks import match_size
from wherewhat_pl.run.folder import RunDir, find_run, load_checkpoint
from wherewhat_pl.settings import ExperimentConfig, Source
from wherewhat_pl.system import DisentanglingGAN


@dataclass(frozen=True)
class LoadedRun:
    """A run's settings, networks and data, and the functions that metrics want of them.

    Attributes:
        run: its folder.
        config: its settings.
        system: its networks, in evaluation mode; ``images_seen`` tells how long they were trained.
        data: its data module, not set up: use :meth:`ready_data` where images are needed.
    """

    run: RunDir
    config: ExperimentConfig
    system: DisentanglingGAN
    data: DeviceDataModule

    @property
    def device(self) -> torch.device:
        return self.system.device

    @property
    def images_seen(self) -> int:
        return self.system.images_seen

    @property
    def num_latents(self) -> int:
        return self.system.num_latents

    @property
    def has_masks(self) -> bool:
        return bool(self.system.generator.masked_latents)

    def ready_data(self) -> DeviceDataModule:
        """The data, opened or drawn on the networks' device; raises :class:`DataError` if it cannot be."""
        if self.data.trainer is None:
            self.data.device = self.device
        self.data.setup()
        return self.data

    @torch.no_grad()
    def generate(self, latents: Tensor) -> Tensor:
        """Latents ``[B, n]`` -> images ``[B, C, H, W]`` of the averaged generator, meant for [-1, 1], not clipped."""
        return self.system.generator_ema(latents).float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` in [-1, 1] -> codes ``[B, n]``; only where a recognizer was trained."""
        encoder = self.system.encoder
        assert encoder is not None
        return encoder(images).float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def masks(self, latents: Tensor) -> Tensor:
        """Masks in [0, 1] of the latents that have one, at the images' resolution: ``[B, n]`` -> ``[B, masked, H, W]``.

        Softmax masks sum to 1 over the pixels; they are divided by their maximum.
        """
        images, masks = self.system.generator_ema(latents, return_masks=True)
        scaled = [mask / mask.amax((2, 3), keepdim=True) if self._softmax else mask for mask in masks]
        size = (int(images.shape[2]), int(images.shape[3]))
        return torch.cat([match_size(mask.float(), size) for mask in scaled], dim=1).clamp(0, 1)

    @property
    def _softmax(self) -> bool:
        return any(spec.kind == "C_spgroup_sm" for spec in self.system.generator.specs)

    def data_noted(self) -> dict[str, Any]:
        """Name, source and fingerprint of the data it was trained on, as its ``config.yaml`` says."""
        return noted_data(self.run)


def load_run(path: str | Path, checkpoint: str | Path | None = None, device: str | torch.device = "cpu") -> LoadedRun:
    """Load a run from its folder.

    Data that was chosen by ``data.source=auto`` stays what it was in training: an official file that has come since
    would otherwise turn the measured images into others.

    Args:
        path: the run's folder.
        checkpoint: a file, or the name of one in the run's ``checkpoints``; None: the newest one that can be read.
        device: ``cpu``, ``cuda``, ``cuda:1``..., or ``auto``: a GPU if there is one.

    Returns:
        The run, its networks on ``device`` in evaluation mode.

    Raises:
        ConfigError: no run there, none of its checkpoints finished, or no such device.
        CheckpointError: the checkpoint cannot be read.
    """
    from wherewhat_pl.run.build import build_system
    from wherewhat_pl.train import data_for  # training imports the callback that measures

    place = torch_device(device)
    run = find_run(path)
    file = _checkpoint_file(run, checkpoint)
    state = load_checkpoint(file)
    config = _settings(run)
    noted: Any = noted_data(run).get("source")
    if config.data.source == "auto" and noted:  # "folder", "zip"... are photographs that lay in data.root
        source: Any = noted if noted in get_args(Source) else "files"
        config = replace(config, data=replace(config.data, source=source))
    data = data_for(config)
    system = build_system(config, data)
    try:
        system.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        raise CheckpointError(f"{file}: is of other networks ({str(error).splitlines()[-1].strip()})") from None
    system.on_load_checkpoint(state)
    system.to(place).eval()
    return LoadedRun(run, config, system, data)


def noted_data(run: RunDir) -> dict[str, Any]:
    """Name, source and fingerprint of a run's data from its ``config.yaml``; empty if they are not there."""
    try:
        noted = yaml.safe_load(run.config_file.read_text())["provenance"]["data"]
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return dict(noted)


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


def _settings(run: RunDir) -> ExperimentConfig:
    try:
        return saved_config(run.config_file)
    except (yaml.YAMLError, AssertionError) as error:
        raise ConfigError(f"{run.config_file}: cannot be read ({' '.join(str(error).split())[:120]})") from None


def _checkpoint_file(run: RunDir, wanted: str | Path | None) -> Path:
    if wanted is not None:
        inside = run.checkpoints / wanted
        return inside if inside.exists() else Path(wanted)
    newest, _, complaints = run.newest_sound_checkpoint()
    if newest is None and complaints:
        first = complaints[0].removesuffix("; using the one before it")
        raise CheckpointError(f"run={run.path}: none of its checkpoints can be read ({first})")
    if newest is None:
        raise ConfigError(f"run={run.path}: has no finished checkpoint yet; train it further, then try again")
    for complaint in complaints:
        print(f"warning: {complaint}", file=sys.stderr)
    return newest
