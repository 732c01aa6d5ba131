"""A run's folder made of a published TensorFlow 1 checkpoint, so that every command takes it like any other run."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_modules.registry import data_module
from wherewhat_pl.config import to_dict, validate
from wherewhat_pl.errors import ConfigError, naming, short
from wherewhat_pl.interop.published import Names, critic_names, fill, generator_names, matches
from wherewhat_pl.interop.tf_checkpoint import PublishedCheckpoint, PublishedNetwork, read_checkpoint
from wherewhat_pl.model import build_generator, build_recognizer
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.networks.module_lists import ModuleSpec, count_latents
from wherewhat_pl.run.build import data_for
from wherewhat_pl.run.checkpoints import seal
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.run.provenance import provenance
from wherewhat_pl.settings import (
    CriticConfig,
    DataConfig,
    EMAConfig,
    ExperimentConfig,
    GeneratorConfig,
    ModelConfig,
    OtherFeatureMaps,
    RecognizerConfig,
    RunConfig,
    TrainerConfig,
)

EXPERIMENT = "imported"
#: our networks -> theirs; without Is, Q was not averaged
ROLES = {
    "generator": "G",
    "discriminator": "D",
    "recognizer": "I",
    "generator_ema": "Gs",
    "recognizer_ema": "Is",
}
SNAPSHOT = re.compile(r"snapshot-(\d{6})$")  # thousands of images, in the names that the published code gives its files
NOISE = re.compile(r"G/noise\d+|.*/noise_strength-\d+-\d+")


@dataclass(frozen=True)
class ImportedRun:
    """What an import made.

    Attributes:
        run: its folder.
        config: its settings.
        channels: of the images.
        unknown: names of settings in the file that mean nothing here.
    """

    run: RunDir
    config: ExperimentConfig
    channels: int
    unknown: list[str]


def import_run(file: Path, folder: Path, data: Mapping[str, Any], force: bool = False) -> ImportedRun:
    """Read a published checkpoint and write the run's folder, whole or not at all.

    Args:
        file: the pickle.
        folder: of the run.
        data: settings of ``data.*`` that were given; what the networks were trained on is not in the file.
        force: write over an imported run that is there; what it has beside networks and results stays.

    Returns:
        What was made.

    Raises:
        ConfigError: the folder is there, the file cannot be read, or holds what this framework does not have; one
            sentence that names the file and the setting or variable.
        DataError: there is no such data set.
    """
    folder = RunDir(folder).path
    _check_room(folder, force)
    checkpoint = read_checkpoint(file)
    with naming(short(file.name, 60)):
        try:
            config, channels = _config(checkpoint, file, folder, data)
            weights = _weights(checkpoint, config, channels)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    origin = {"file": _plain(file.name), "networks": list(checkpoint.networks)}
    _write(folder, config, weights, origin)
    return ImportedRun(RunDir(folder), config, channels, checkpoint.unknown)


def _config(
    checkpoint: PublishedCheckpoint, file: Path, folder: Path, data: Mapping[str, Any]
) -> tuple[ExperimentConfig, int]:
    """The settings that describe the networks, and the channels of their images."""
    networks = checkpoint.networks
    generator, critic, recognizer = networks["Gs"], networks["D"], networks.get("I")
    resolution, channels = generator.whole("resolution"), generator.whole("num_channels")
    for network in networks.values():
        for key, ours in (("resolution", resolution), ("num_channels", channels)):
            if (theirs := network.whole(key, ours)) != ours:
                raise network.say(f"{key} is {theirs}, but that of Gs is {ours}")
    if resolution < 8 or resolution.bit_count() != 1:
        raise generator.say(f"resolution is {resolution}, but must be a power of two, at least 8")
    if channels not in (1, 3):
        raise generator.say(f"num_channels is {channels}, but must be 1 or 3")
    critic_maps = critic.feature_maps()
    maps = vars(recognizer.feature_maps()) if recognizer else {}
    own = {key: value for key, value in maps.items() if value != getattr(critic_maps, key)}
    snapshot = SNAPSHOT.search(file.stem)
    config = ExperimentConfig(
        experiment=EXPERIMENT,
        data=_data(resolution, channels, data),
        model=ModelConfig(
            loss="gan" if recognizer is None else "ps",
            generator=GeneratorConfig(
                modules=generator.modules(),
                feature_maps=generator.feature_maps(),
                feature_map_scale=generator.whole("G_nf_scale"),
            ),
            critic=CriticConfig(critic_maps),
            recognizer=RecognizerConfig(OtherFeatureMaps(**own)),
            ema=EMAConfig(recognizer="Is" in networks),
        ),
        trainer=TrainerConfig(max_kimg=float(snapshot[1]) if snapshot else 0.0),
        run=RunConfig(name=_plain(folder.resolve().name)),
    )
    validate(config)
    _check_lengths(networks, config)
    return config, channels


def _check_lengths(networks: Mapping[str, PublishedNetwork], config: ExperimentConfig) -> None:
    specs = [ModuleSpec.parse(text) for text in config.model.generator.modules]
    latents = count_latents(config.model.generator.modules)
    for role, key in (("Gs", "latent_size"), ("I", "dlatent_size")):
        if role in networks and (said := networks[role].whole(key, latents)) != latents:
            raise networks[role].say(f"{key} is {said}, but module_list of Gs takes {latents} latents")
    for spec in specs:  # a layer each, of which a number could claim millions
        if spec.kind in ("Conv", "ResConv", "Noise") and int(spec.arguments[-1]) > len(networks["Gs"].variables):
            raise networks["Gs"].say(f"{spec} has more layers than there are variables")


def _data(resolution: int, channels: int, given: Mapping[str, Any]) -> DataConfig:
    """What was said of the data; else the only grey set, or photographs. None is made up in place of photographs."""
    name = given.get("name") or ("dsprites" if channels == 1 else "images")
    kind = data_module(name)
    if kind.channels != channels:
        raise ConfigError(f"data.name={name}: has images of {kind.channels} channels, the networks draw {channels}")
    source: Any = "files" if "files" in kind.sources else "auto"
    usual = {"name": name, "source": source, "root": getattr(kind, "default_root", "data")}
    data = DataConfig(**{**usual, **given, "resolution": resolution})
    data_for(ExperimentConfig(data=data))  # raises DataError for what it cannot have
    return data


def _plain(name: str) -> str:
    """A file's name without what could mean something in a file of settings."""
    return re.sub(r"[^\w.+ -]", "_", name)


def _weights(checkpoint: PublishedCheckpoint, config: ExperimentConfig, channels: int) -> dict[str, torch.Tensor]:
    """The state of a training's networks."""
    weights: dict[str, torch.Tensor] = {}
    for sketch in (True, False):  # what a file claims takes memory only once all its variables have these shapes
        for name, role in ROLES.items():
            if role not in checkpoint.networks:
                continue
            with torch.device("meta") if sketch else nullcontext():
                network = _network(role, config, channels)
            try:
                names, variables = _published(checkpoint.networks[role], network)
                (matches if sketch else fill)(names, variables)
            except ValueError as error:
                raise ValueError(f"{role}: {error}") from None
            if sketch:
                continue
            for variable, tensor in names:
                if not tensor.isfinite().all():
                    raise ValueError(f"{role}: variable {variable} holds numbers that are not finite")
            weights |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
    return weights


def _network(role: str, config: ExperimentConfig, channels: int) -> Generator | Critic:
    """One of the networks that settings describe, with random weights."""
    model, resolution = config.model, config.data.resolution
    if role[0] == "G":
        generator = build_generator(model, channels)
        if generator.resolution != resolution:
            raise ValueError(f"{role}: resolution is {resolution}, but module_list draws {generator.resolution} px")
        return generator
    if role == "D":
        return Critic(resolution, channels, 1, model.critic.feature_maps)
    recognizer = build_recognizer(model, resolution, channels, count_latents(model.generator.modules))
    assert recognizer is not None
    return recognizer


def _published(published: PublishedNetwork, network: Generator | Critic) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Names and tensors of a network of ours, and the variables that belong into them."""
    scope = published.role[0]
    variables = {f"{scope}/{name}": value for name, value in published.variables.items()}
    names: Names = generator_names(network) if isinstance(network, Generator) else critic_names(network, scope)
    if scope == "G" and not published.flag("use_noise", True):
        # Maps that were drawn and never used: they count for nothing, as they do where their strengths are zero.
        names = (pair for pair in names if not NOISE.fullmatch(pair[0]))
        variables = {name: value for name, value in variables.items() if not NOISE.fullmatch(name)}
    return list(names), variables


def _check_room(folder: Path, force: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    run = RunDir(folder)
    if not run.config_file.is_file() or "imported" not in run.provenance():
        raise ConfigError(f"run={folder}: is there already, and is no imported run; choose another folder")
    if not force:
        raise ConfigError(f"run={folder}: is there already; force=true (make: FORCE=1) writes over it")


def _write(folder: Path, config: ExperimentConfig, weights: dict[str, torch.Tensor], origin: dict[str, Any]) -> None:
    whole = folder.resolve()  # "." has no name of its own
    made = RunDir(whole.with_name(f".{whole.name}.{secrets.token_hex(4)}.partial"))
    images_seen = round(config.trainer.max_kimg * 1000)
    try:
        made.path.mkdir(parents=True)
        made.prepare(config, provenance({}) | {"imported": origin})
        path = made.checkpoint_at(images_seen)
        torch.save({"images_seen": images_seen, "config": to_dict(config), "state_dict": weights}, path)
        seal(path)
        with suppress(OSError):  # a convenience; some file systems have no links
            made.last_checkpoint.symlink_to(path.name)
        if RunDir(folder).config_file.exists():
            old = RunDir(folder)
            old.eval_file.unlink(missing_ok=True)
            shutil.rmtree(old.checkpoints, ignore_errors=True)
            made.checkpoints.rename(old.checkpoints)
            made.config_file.replace(old.config_file)
        else:
            made.path.rename(folder)
    except (OSError, RuntimeError) as error:  # torch's writer has its own words for a full disk
        raise ConfigError(f"run={folder}: cannot be written ({getattr(error, 'strerror', None) or error})") from None
    finally:
        shutil.rmtree(made.path, ignore_errors=True)
