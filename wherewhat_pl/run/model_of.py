"""The model that a run left, found by its folder alone. Needs neither Lightning nor the data the run was trained on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from wherewhat_pl.config import to_dict
from wherewhat_pl.errors import CheckpointError, ConfigError, warn
from wherewhat_pl.model import Model, build_generator, build_recognizer, torch_device
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir, find_run
from wherewhat_pl.run.latents import read_latents
from wherewhat_pl.settings import ExperimentConfig


def model_of_run(path: str | Path, checkpoint: str | Path | None = None, device: str | torch.device = "cpu") -> Model:
    """The averaged networks of a trained run, its latents called as its ``latents.yaml`` says.

    Args:
        path: the run's folder.
        checkpoint: a file, or the name of one in the run's ``checkpoints``; None: the newest one that can be read.
        device: ``cpu``, ``cuda``, ``cuda:1``..., or ``auto``: a GPU if there is one.

    Raises:
        ConfigError: no run there, none of its checkpoints finished, no such device, or names that fit no latent.
        CheckpointError: the checkpoint cannot be read.
    """
    run = find_run(path)
    place, file = torch_device(device), checkpoint_file(run, checkpoint)
    return model_from(load_checkpoint(file), run, run.settings(), file).to(place)


def model_from(state: dict[str, Any], run: RunDir, config: ExperimentConfig, file: Path) -> Model:
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
    model = Model(generator, recognizer, config.model.prior)
    if run.latents_file.exists():
        model.call_latents(read_latents(run.latents_file, model.num_latents))
    model.about = _about(run, config, int(state["images_seen"]))
    return model


def _about(run: RunDir, config: ExperimentConfig, images_seen: int) -> dict[str, Any]:
    """What an export tells about the run it comes from: nothing of the machine's folders."""
    settings, provenance = to_dict(config), run.provenance()
    names = {"experiment": config.experiment, "run": config.run.name or run.path.name, "images_seen": images_seen}
    if isinstance(imported := provenance.get("imported"), dict):
        # How it was trained is not known, and our defaults must not look like it.
        networks = {key: settings["model"][key] for key in ("generator", "critic", "recognizer")}
        return names | {"imported": str(imported.get("file")), "settings": {"model": networks}}
    return names | {
        "data": run.data_provenance(),
        "versions": provenance.get("versions", {}),
        "settings": {
            "seed": config.seed,
            "data": {key: settings["data"][key] for key in ("name", "resolution", "mirror")},
            "model": settings["model"],
            "trainer": {key: settings["trainer"][key] for key in ("batch_size", "precision")},
        },
    }


def checkpoint_file(run: RunDir, wanted: str | Path | None) -> Path:
    """The file a user named, or the newest that can be read; raises what :func:`model_of_run` raises."""
    if wanted is not None:
        inside = run.checkpoints / wanted
        return inside if inside.exists() else Path(os.path.expanduser(wanted))
    newest, _, complaints = run.newest_sound_checkpoint()
    if newest is None and complaints:
        raise CheckpointError(f"run={run.path}: none of its checkpoints can be read ({complaints[0]})")
    if newest is None:
        raise ConfigError(f"run={run.path}: has no finished checkpoint yet; train it further, then try again")
    for complaint in complaints:
        warn(f"{complaint}; using the one before it")
    return newest
