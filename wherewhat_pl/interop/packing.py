"""A model as a description in plain values and tensors by name, and back: what every file of ours holds.

Nothing that a file says is believed: the networks it describes are compared with the tensors it holds before memory is
taken for them, and no code is imported because a file names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data_modules.errors import one_line
from wherewhat_pl.errors import ModelError
from wherewhat_pl.model import Latent, Model
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.networks.masks import MASK_MODULES, SpatialConstriction
from wherewhat_pl.networks.module_lists import ModuleSpec

VERSION = 1  #: of the description


class _Networks(nn.Module):
    """The networks that make a model: their tensors' names begin with ``generator.`` and ``recognizer.``."""

    def __init__(self, generator: Generator, recognizer: Critic | None) -> None:
        super().__init__()
        self.generator, self.recognizer = generator, recognizer


def pack(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What builds a model, in values that JSON has, and its tensors on the CPU by name.

    Raises:
        ModelError: it is not made of our networks (a decoder of others).
    """
    generator, recognizer = getattr(model, "generator", None), model.recognizer
    if not isinstance(generator, Generator):
        raise ModelError("only a model made of this framework's own networks can be exported, not a decoder of others")
    description: dict[str, Any] = {
        "version": VERSION,
        "generator": {
            "modules": [str(spec) for spec in generator.specs],
            "channels": model.channels,
            "feature_maps": asdict(generator.feature_maps),
            "feature_map_scale": generator.feature_map_scale,
        },
        "recognizer": None if recognizer is None else {"feature_maps": asdict(recognizer.feature_maps)},
        "prior": model.prior,
        "latents": [asdict(latent) for latent in model.latents],
        "about": model.about,
        "channels_last": not generator.const.is_contiguous(),
        "plugins": sorted(
            {type(block).__module__ for block in generator.blocks if isinstance(block, SpatialConstriction)}
            - {SpatialConstriction.__module__}
        ),
    }
    tensors = _Networks(generator, recognizer).state_dict()
    return description, {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def unpack(description: Any, tensors: Mapping[str, Tensor], path: Path) -> Model:
    """The model that :func:`pack` described.

    Args:
        description: as it was read, not checked.
        tensors: by name.
        path: of the file, to be named in errors.

    Raises:
        ModelError: it describes no model, a newer kind of one, or one of other tensors; one line.
    """
    try:
        if description["version"] > VERSION:
            raise ModelError(f"{path}: was written by a newer version; update wherewhat_pl to read it")
        with torch.device("meta"):  # shapes only: a file must not make us take memory that it does not fill
            sketch = _build(description, len(tensors))
        _compare(sketch.state_dict(), tensors)
        networks = _build(description, len(tensors))
        networks.load_state_dict(tensors)
        networks.requires_grad_(False)
        if description["channels_last"]:  # as in training: other layouts give other last bits
            networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if description["prior"] not in ("normal", "uniform"):
            raise ValueError(f"there is no prior {description['prior']!r}")
        latents = [Latent(**each) for each in description["latents"]]
        model = Model(networks.generator, networks.recognizer, description["prior"], latents)
        model.about = dict(description["about"])
        return model
    except ModelError:
        raise
    except Exception as error:  # whatever a file can say wrong means the same to the user
        raise ModelError(f"{path}: holds no model ({one_line(error, 120)}){_plugins_missing(description)}") from None


def digest(description: Any, tensors: Mapping[str, Tensor]) -> str:
    """Hash of all that makes the model what it is."""
    found = hashlib.blake2b(json.dumps(description, sort_keys=True).encode(), digest_size=32)
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def _build(description: dict[str, Any], tensors: int) -> _Networks:
    said = description["generator"]
    for spec in map(ModuleSpec.parse, said["modules"]):
        if spec.kind in ("Conv", "ResConv", "Noise") and int(spec.arguments[-1]) > tensors:
            raise ValueError(f"{spec} has more layers than the file has tensors")
    generator = Generator(
        list(said["modules"]), said["channels"], FeatureMaps(**said["feature_maps"]), said["feature_map_scale"]
    )
    if description["recognizer"] is None:
        return _Networks(generator, None)
    maps = FeatureMaps(**description["recognizer"]["feature_maps"])
    return _Networks(generator, Critic(generator.resolution, said["channels"], generator.num_latents, maps))


def _compare(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    for name in sorted(wanted.keys() ^ tensors.keys()):
        raise ValueError(f"it {'lacks' if name in wanted else 'has'} {name}")
    for name, tensor in wanted.items():
        if tensor.shape != tensors[name].shape or tensors[name].dtype != torch.float32:
            raise ValueError(f"{name} is {tensors[name].dtype} {list(tensors[name].shape)}, not {list(tensor.shape)}")


def _plugins_missing(description: Any) -> str:
    """What to do where a kind of masks is somebody's own."""
    if not isinstance(description, dict) or not description.get("plugins"):
        return ""
    known = {module.__module__ for module in MASK_MODULES.values()}
    missing = [str(name) for name in description["plugins"] if name not in known]
    return f"; it needs {', '.join(missing)}: import it, or say plugins={','.join(missing)}" if missing else ""
