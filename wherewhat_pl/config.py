"""How files and ``key=value`` become one checked experiment (the settings themselves stand in ``settings.py``).

An experiment is ``experiments/NAME.yaml``; it holds only what differs from the defaults or from the file it
``extends``. Order of precedence: defaults < reference preset < extended files < file < command line.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wherewhat_pl.errors import ConfigError, nearest, suggestion
from wherewhat_pl.networks.module_lists import ModuleSpec, count_latents, module_list, published_modules
from wherewhat_pl.settings import REFERENCE, ExperimentConfig

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


def load_config(experiment: str, overrides: Sequence[str] = (), folder: Path = EXPERIMENTS) -> ExperimentConfig:
    """Read ``experiments/NAME.yaml`` (or a path to a file), apply the overrides, check the whole.

    Args:
        experiment: name of a file in ``folder``, or a path ending in ``.yaml``.
        overrides: ``key=value`` with dotted keys, in OmegaConf's dotlist form.
        folder: where names are looked up.

    Raises:
        ConfigError: unknown experiment or key, wrong type, impossible combination; one line, with the nearest name.
    """
    given = _parse_overrides(overrides)
    layers = _read_with_bases(experiment, folder)
    reference = next((layer["reference"] for layer in [given, *reversed(layers)] if "reference" in layer), False)
    config = OmegaConf.structured(ExperimentConfig)
    preset = [OmegaConf.create(REFERENCE)] if reference is True else []
    for layer in [*preset, *layers, given]:
        config = _merge(config, layer)
    config.experiment = Path(experiment).stem
    return validate(_with_modules(_to_object(config)))


def saved_config(path: Path) -> ExperimentConfig:
    """Read a run's own ``config.yaml``; what else is noted in it (versions, git state) is left aside."""
    layer = OmegaConf.load(path)
    assert isinstance(layer, DictConfig)
    layer.pop("provenance", None)
    return validate(_to_object(_merge(OmegaConf.structured(ExperimentConfig), layer)))


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

    trainer, model, data = config.trainer, config.model, config.data
    require(
        data.resolution >= 8 and math.log2(data.resolution).is_integer(),
        f"data.resolution={data.resolution}: must be a power of two, at least 8",
    )
    require(trainer.batch_size >= 1, f"trainer.batch_size={trainer.batch_size}: must be at least 1")
    require(trainer.max_kimg >= 0, f"trainer.max_kimg={trainer.max_kimg}: must not be negative")
    require(trainer.num_nodes >= 1, f"trainer.num_nodes={trainer.num_nodes}: must be at least 1")
    require(trainer.devices is None or trainer.devices >= 1, f"trainer.devices={trainer.devices}: must be at least 1")
    require(model.r1.interval >= 1, f"model.r1.interval={model.r1.interval}: must be at least 1")
    require(config.checkpoint.keep >= 2, f"checkpoint.keep={config.checkpoint.keep}: must be at least 2")
    require(config.pictures.columns >= 2, f"pictures.columns={config.pictures.columns}: must be at least 2")
    for name, value in (
        ("model.ps.weight", model.ps.weight),
        ("model.infogan.weight", model.infogan.weight),
        ("model.r1.gamma", model.r1.gamma),
        ("model.optimizer.learning_rate", model.optimizer.learning_rate),
    ):
        require(math.isfinite(value) and value >= 0, f"{name}={value}: must be finite and not negative")
    intervals: dict[str, float | None] = {
        "model.ps.cascade_kimg": model.ps.cascade_kimg,
        "model.ema.halflife_kimg": model.ema.halflife_kimg,
        "model.augment.speed_kimg": model.augment.speed_kimg,
        "pictures.interval_kimg": config.pictures.interval_kimg,
        "eval.interval_kimg": config.eval.interval_kimg,
        "logger.interval_kimg": config.logger.interval_kimg,
        "checkpoint.interval_kimg": config.checkpoint.interval_kimg,
    }
    for name, interval in intervals.items():
        require(interval is None or interval > 0, f"{name}={interval}: must be above 0")
    require(
        bool(model.generator.modules),
        "model.generator.modules: is empty; list the modules, or set model.generator.latents to have the list made",
    )
    require(abs(model.augment.target) < 1, f"model.augment.target={model.augment.target}: must be between -1 and 1")
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


def check_divisible(batch_size: int, world_size: int) -> None:
    """The total batch must split evenly; raises :class:`ConfigError` naming the nearest sizes that do."""
    if batch_size % world_size:
        lower = batch_size // world_size * world_size
        near = " or ".join(str(size) for size in (lower, lower + world_size) if size)
        raise ConfigError(
            f"trainer.batch_size={batch_size}: is the total and must be divisible by the {world_size} processes "
            f"(devices x nodes); try {near}"
        )


def all_keys(schema: Any = ExperimentConfig, prefix: str = "") -> list[str]:
    """Every dotted key of the schema."""
    keys: list[str] = []
    for item in fields(schema):
        keys.append(prefix + item.name)
        value = item.default_factory() if callable(item.default_factory) else item.default
        if is_dataclass(value):
            keys += all_keys(value, f"{prefix}{item.name}.")
    return keys


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
            layer = OmegaConf.load(path)
        except Exception as error:  # YAML's own errors are many lines long
            raise ConfigError(f"{path}: is no valid YAML ({' '.join(str(error).split())})") from None
        if not isinstance(layer, DictConfig):
            raise ConfigError(f"{path}: must hold keys and values")
        name = layer.pop("extends", None)
        layers.insert(0, layer)
    return layers


def _parse_overrides(overrides: Sequence[str]) -> DictConfig:
    for text in overrides:
        key, equals, _ = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{text}': settings are given as key=value, e.g. model.ps.weight=0.1")
    try:
        return OmegaConf.from_dotlist(list(overrides))
    except Exception as error:
        raise ConfigError(f"{' '.join(overrides)}: cannot be read ({' '.join(str(error).split())})") from None


def _merge(config: DictConfig, layer: DictConfig) -> DictConfig:
    for key in _leaf_keys(OmegaConf.to_container(layer)):  # OmegaConf would name only the outermost unknown part
        if key not in all_keys():
            raise ConfigError(f"{key}: no such setting{_nearest_key(key)}")
    try:
        merged = OmegaConf.merge(config, layer)
        OmegaConf.resolve(merged)
    except OmegaConfBaseException as error:
        key = error.full_key or "settings"
        raise ConfigError(f"{key}: {str(error).splitlines()[0]}") from None
    assert isinstance(merged, DictConfig)
    return merged


def _leaf_keys(layer: Any, prefix: str = "") -> list[str]:
    if not isinstance(layer, dict) or not layer:
        return [prefix] if prefix else []
    return [
        leaf for key, value in layer.items() for leaf in _leaf_keys(value, f"{prefix}.{key}" if prefix else str(key))
    ]


def _nearest_key(key: str) -> str:
    """Nearest by the whole dotted name, or by the last part alone (``ps.weigth``, ``lr``)."""
    keys = all_keys()
    if hint := nearest(key, keys):
        return hint
    by_leaf = {name.rpartition(".")[2]: name for name in reversed(keys)}
    match = difflib.get_close_matches(key.rpartition(".")[2], list(by_leaf), n=1, cutoff=0.5)
    return f"; did you mean '{by_leaf[match[0]]}'?" if match else ""


def _to_object(config: DictConfig) -> ExperimentConfig:
    result = OmegaConf.to_object(config)
    assert isinstance(result, ExperimentConfig)
    return result
