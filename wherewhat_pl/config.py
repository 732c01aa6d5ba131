"""How files and ``key=value`` become one checked experiment; ``settings.py`` holds its settings, ``schema.py`` reads.

An experiment is ``experiments/NAME.yaml``; it holds only what differs from the defaults or from the file it
``extends``. Order of precedence: defaults < reference preset < extended files < file < command line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from wherewhat_pl.bounds import MOST_LATENTS
from wherewhat_pl.errors import ConfigError, naming, suggestion
from wherewhat_pl.networks.module_lists import (
    ModuleSpec,
    check_sizes,
    count_latents,
    mask_kinds,
    module_list,
    published_modules,
)
from wherewhat_pl.plugins import load_plugins
from wherewhat_pl.schema import check_values, merge, read_file, read_words
from wherewhat_pl.settings import REFERENCE, ExperimentConfig

LONGEST_NAME = 200  #: bytes of a folder's name; file systems allow 255
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
    reference = [layer["reference"] for layer in [*layers.values(), given] if "reference" in layer]
    config = _defaults()
    if reference and reference[-1] is True:
        config = merge(config, OmegaConf.create(REFERENCE))
    for path, layer in layers.items():
        with naming(path):
            config = merge(config, layer)
    config = merge(config, given)  # a copy, as all of these
    config.experiment = Path(experiment).stem
    checked: Any = OmegaConf.to_object(config)
    check_values(checked)
    return validate(_with_modules(checked))


def saved_config(path: Path) -> ExperimentConfig:
    """Read a run's own ``config.yaml``; what else is noted in it (versions, git state) is left aside.

    Raises:
        ConfigError: it is not what a run writes; one sentence that names the file.
    """
    layer = read_file(path, ExperimentConfig)
    layer.pop("provenance", None)
    with naming(path):
        config: Any = OmegaConf.to_object(merge(_defaults(), layer))
        return validate(config)


def to_yaml(config: ExperimentConfig) -> str:
    """The whole configuration, resolved, as YAML that :func:`saved_config` reads."""
    return OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)


def to_dict(config: ExperimentConfig) -> dict[str, Any]:
    """Plain nested dictionaries of plain values, safe to store in a checkpoint."""
    return asdict(config)


@cache
def _defaults() -> DictConfig:
    """Made once: it takes as long as all the rest of reading an experiment, and merging copies it."""
    return OmegaConf.structured(ExperimentConfig)  # type: ignore[no-any-return]


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

    check_values(config)
    for key, name in (("experiment", config.experiment), ("run.name", config.run.name or "unnamed")):
        require(_names_a_folder(name), f"{key}={name}: runs lie in a folder of that name, which none can have")
    load_plugins(config.plugins)
    model, resolution = config.model, config.data.resolution
    require(resolution.bit_count() == 1, f"data.resolution={resolution}: must be a power of two")
    require(
        model.ps.pairs == 1 or config.trainer.accumulate == 1,
        f"model.ps.pairs={model.ps.pairs}: must be 1 with trainer.accumulate={config.trainer.accumulate}",
    )
    for key, weight, final in (
        ("r1.final_gamma", model.r1.gamma, model.r1.final_gamma),
        ("isometry.final_weight", model.isometry.weight, model.isometry.final_weight),
    ):
        require(
            final is None or min(weight, final, model.optimizer.falling) > 0,
            f"model.{key}={final}: falls while the rates do, from more than 0 to more than 0; "
            "set model.optimizer.falling, the share of the training in which they do",
        )
    require(
        bool(model.generator.modules),
        "model.generator.modules: is empty; list the modules, or set model.generator.latents to have the list made",
    )
    kinds = list(mask_kinds())
    require(model.mask in kinds, f"model.mask={model.mask}: no such kind of masks{suggestion(model.mask, kinds)}")
    try:
        specs = [ModuleSpec.parse(text) for text in module_list(model.generator.modules, model.mask)]
        check_sizes(specs, model.generator.feature_maps, model.generator.feature_map_scale)
    except ValueError as error:
        raise ConfigError(f"model.generator.modules: {error}") from None
    latents, listed = model.generator.latents, count_latents(model.generator.modules)
    require(listed > 0, "model.generator.modules: no module consumes latents")
    require(listed <= MOST_LATENTS, f"model.generator.modules: has {listed} latents, more than {MOST_LATENTS}")
    require(
        latents in (None, listed),
        f"model.generator.latents={latents}: model.generator.modules has {listed}; "
        "set latents=null to use that list, or modules=[] to have one made",
    )
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


def _read_with_bases(experiment: str, folder: Path) -> dict[Path, DictConfig]:
    """What each file says, the outermost base first."""
    layers: dict[Path, DictConfig] = {}
    name: str | None = experiment
    while name is not None:
        named = name.endswith((".yaml", ".yml"))
        path = Path(os.path.expanduser(name)) if named else folder / f"{name}.yaml"
        if not path.is_file():
            known = sorted(file.stem for file in folder.glob("*.yaml"))
            raise ConfigError(f"exp={name}: no such experiment{suggestion(name, known)}")
        if path in layers:
            raise ConfigError(f"{path}: extends itself by way of {', '.join(file.name for file in layers)}")
        layer = read_file(path, ExperimentConfig)
        name = layer.pop("extends", None)
        if not isinstance(name, str | None):
            raise ConfigError(f"{path}: extends={name}: must be the name of one experiment")
        layers[path] = layer
    return dict(reversed(layers.items()))


def _names_a_folder(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and len(os.fsencode(name)) <= LONGEST_NAME
