"""How files and ``key=value`` become one checked experiment; ``settings.py`` holds its settings, ``schema.py`` reads.

An experiment is ``experiments/NAME.yaml``; it holds only what differs from the defaults or from the file it
``extends``. Order of precedence: defaults < reference preset < extended files < file < command line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.networks.module_lists import ModuleSpec, count_latents, mask_kinds, module_list, published_modules
from wherewhat_pl.plugins import load_plugins
from wherewhat_pl.schema import merge, read_file, read_words
from wherewhat_pl.settings import REFERENCE, ExperimentConfig

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


def load_config(experiment: str, overrides: Sequence[str] = (), folder: Path = EXPERIMENTS) -> ExperimentConfig:
    """Read ``experiments/NAME.yaml`` (or a path to a file), apply the overrides, check the whole.

    Args:
        experiment: name of a file in ``folder``, or a path ending in ``.yaml``.
        overrides: ``key=value`` with dotted keys; text is taken as it is (see :func:`read_words`).
        folder: where names are looked up.

    Raises:
        ConfigError: unknown experiment or key, wrong type, impossible combination; one line, with the nearest name.
    """
    given = read_words(overrides, ExperimentConfig)
    layers = _read_with_bases(experiment, folder)
    reference = next((layer["reference"] for layer in [given, *reversed(layers)] if "reference" in layer), False)
    config = OmegaConf.structured(ExperimentConfig)
    preset = [OmegaConf.create(REFERENCE)] if reference is True else []
    for layer in [*preset, *layers, given]:
        config = merge(config, layer)
    config.experiment = Path(experiment).stem
    return validate(_with_modules(_to_object(config)))


def saved_config(path: Path) -> ExperimentConfig:
    """Read a run's own ``config.yaml``; what else is noted in it (versions, git state) is left aside."""
    layer = read_file(path, ExperimentConfig)
    assert isinstance(layer, DictConfig)
    layer.pop("provenance", None)
    return validate(_to_object(merge(OmegaConf.structured(ExperimentConfig), layer)))


def to_yaml(config: ExperimentConfig) -> str:
    """The whole configuration, resolved, as YAML that :func:`saved_config` reads."""
    return OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)


def to_dict(config: ExperimentConfig) -> dict[str, Any]:
    """Plain nested dictionaries of plain values, safe to store in a checkpoint."""
    plain = OmegaConf.to_container(OmegaConf.structured(config), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _with_modules(config: ExperimentConfig) -> ExperimentConfig:
    """Write out the module list where only ``model.generator.latents`` is given, so that the run's folder holds it."""
    generator, resolution = config.model.generator, config.data.resolution
    if generator.latents is None or generator.modules:
        return config
    try:
        modules = published_modules(resolution, generator.latents, generator.feature_maps.at(0))
    except ValueError as error:
        raise ConfigError(
            f"data.resolution={resolution}, model.generator.latents={generator.latents}: {error}"
        ) from None
    return replace(config, model=replace(config.model, generator=replace(generator, modules=modules)))


def validate(config: ExperimentConfig) -> ExperimentConfig:
    """Check what types cannot say; returns its argument."""

    def require(holds: bool, message: str) -> None:
        if not holds:
            raise ConfigError(message)

    load_plugins(config.plugins)
    model, resolution = config.model, config.data.resolution
    require(
        resolution >= 8 and math.log2(resolution).is_integer(),
        f"data.resolution={resolution}: must be a power of two, at least 8",
    )
    for least, keys in {
        0: ("trainer.max_kimg",),
        1: ("trainer.batch_size", "trainer.accumulate", "trainer.num_nodes", "trainer.devices", "model.r1.interval"),
        2: ("checkpoint.keep", "pictures.columns"),
    }.items():
        for key in keys:
            value = attrgetter(key)(config)
            require(value is None or value >= least, f"{key}={value}: must be at least {least}")
    rates = ("model.optimizer.learning_rate", "model.optimizer.critic_ratio")
    for key in ("model.ps.weight", "model.infogan.weight", "model.r1.gamma", *rates):
        value = attrgetter(key)(config)
        require(math.isfinite(value) and value >= 0, f"{key}={value}: must be finite and not negative")
    falling = model.optimizer.falling
    require(0 <= falling <= 1, f"model.optimizer.falling={falling}: must be between 0 and 1")
    require(0 < model.ps.pairs <= 1, f"model.ps.pairs={model.ps.pairs}: must be above 0 and at most 1")
    require(
        model.ps.pairs == 1 or config.trainer.accumulate == 1,
        f"model.ps.pairs={model.ps.pairs}: must be 1 with trainer.accumulate={config.trainer.accumulate}",
    )
    kimg = ("model.ps.cascade_kimg", "model.ema.halflife_kimg", "model.augment.speed_kimg")
    for key in (*kimg, *(f"{group}.interval_kimg" for group in ("pictures", "eval", "logger", "checkpoint"))):
        value = attrgetter(key)(config)
        require(value is None or value > 0, f"{key}={value}: must be above 0")
    require(
        bool(model.generator.modules),
        "model.generator.modules: is empty; list the modules, or set model.generator.latents to have the list made",
    )
    require(abs(model.augment.target) < 1, f"model.augment.target={model.augment.target}: must be between -1 and 1")
    kinds = list(mask_kinds())
    require(model.mask in kinds, f"model.mask={model.mask}: no such kind of masks{suggestion(model.mask, kinds)}")
    try:
        specs = [ModuleSpec.parse(text) for text in module_list(model.generator.modules, model.mask)]
    except ValueError as error:
        raise ConfigError(f"model.generator.modules: {error}") from None
    require(any(spec.num_latents for spec in specs), "model.generator.modules: no module consumes latents")
    latents, listed = model.generator.latents, count_latents(model.generator.modules)
    require(
        latents in (None, listed),
        f"model.generator.latents={latents}: model.generator.modules has {listed}; "
        "set latents=null to use that list, or modules=[] to have one made",
    )
    require(not config.run.name or "/" not in config.run.name, f"run.name={config.run.name}: must not contain '/'")
    return config


def check_divisible(batch_size: int, world_size: int, accumulate: int = 1) -> None:
    """The total batch must split evenly; raises :class:`ConfigError` naming the nearest sizes that do."""
    least = world_size * (4 * accumulate if accumulate > 1 else 1)  # minibatch statistics are over groups of four
    if batch_size % least:
        lower = batch_size // least * least
        near = " or ".join(str(size) for size in (lower, lower + least) if size)
        parts = f" and their {accumulate} parts of whole groups of four" if accumulate > 1 else ""
        raise ConfigError(
            f"trainer.batch_size={batch_size}: is the total and must be divisible by the {world_size} processes "
            f"(devices x nodes){parts}; try {near}"
        )


def _read_with_bases(experiment: str, folder: Path) -> list[DictConfig]:
    """The file's layers, the outermost base first."""
    layers: list[DictConfig] = []
    seen: list[Path] = []
    name: str | None = experiment
    while name is not None:
        path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
        if not path.is_file():
            known = sorted(file.stem for file in folder.glob("*.yaml"))
            raise ConfigError(f"exp={name}: no such experiment{suggestion(name, known)}")
        if path in seen:
            raise ConfigError(f"{path}: extends itself by way of {', '.join(file.name for file in seen)}")
        seen.append(path)
        try:
            layer = read_file(path, ExperimentConfig)
        except Exception as error:  # YAML's own errors are many lines long
            raise ConfigError(f"{path}: is no valid YAML ({one_line(error)})") from None
        if not isinstance(layer, DictConfig):
            raise ConfigError(f"{path}: must hold keys and values")
        name = layer.pop("extends", None)
        layers.insert(0, layer)
    return layers


def _to_object(config: DictConfig) -> ExperimentConfig:
    result = OmegaConf.to_object(config)
    assert isinstance(result, ExperimentConfig)
    return result
