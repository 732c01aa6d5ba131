"""What a published TensorFlow 1 checkpoint says: which networks, with which settings, and their variables by name.

The file holds ``(G, D, I, Gs)``, or ``(G, D, I, Gs, Is)`` where Q is averaged too, or ``(G, D, Gs)`` without Q; Gs and
Is are the averages. Nothing it says is believed before it is looked at: see :mod:`tf_pickle`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wherewhat_pl.errors import ConfigError, naming, short
from wherewhat_pl.interop.tf_pickle import Array, Network, read_pickle
from wherewhat_pl.networks.feature_maps import FeatureMaps

VERSIONS = (2, 3, 4)
STRUCTURES = {size: names.split(", ") for size, names in ((3, "G, D, Gs"), (4, "G, D, I, Gs"), (5, "G, D, I, Gs, Is"))}
SHAPES = ("num_channels", "resolution", "label_size", "fmap_base", "fmap_decay", "fmap_min", "fmap_max")
#: ``static_kwargs`` that are known; of these func_name, return_atts and synthesis_func change no image
KNOWN = {
    "D": (*SHAPES, "func_name"),
    "I": (*SHAPES, "func_name", "dlatent_size"),
    "G": (
        *(*SHAPES, "func_name", "dlatent_size", "latent_size", "module_list"),
        *("G_nf_scale", "use_noise", "return_atts", "synthesis_func"),
    ),
}
KNOWN_STATE = ("version", "name", "static_kwargs", "components", "build_module_src", "build_func_name", "variables")
COUNTER = "lod"  # a variable of every network that none needs
MOST_CHANNELS = 4096  # as settings have it; a published maximum may mean "no maximum"
MOST_NAMED = 8  # unknown settings that are listed by name


@dataclass(frozen=True, eq=False, repr=False)
class PublishedNetwork:
    """One network of the file.

    Attributes:
        role: G, D, I, Gs or Is.
        settings: its ``static_kwargs``.
        variables: arrays, not copied, and numbers, by local name.
        unknown: names of settings that mean nothing here.
    """

    role: str
    settings: Mapping[str, Any]
    variables: dict[str, np.ndarray]
    unknown: list[str] = field(default_factory=list)

    def say(self, what: str) -> ConfigError:
        """The error that something is wrong with this network."""
        return ConfigError(f"{self.role}: {what}")

    def number(self, key: str, default: float | None = None) -> float:
        """A setting that is a number; raises :class:`ConfigError` if it is none, or is not there without a default."""
        value = scalar(self.settings.get(key, default))
        if value is None and key not in self.settings:
            raise self.say(f"static_kwargs has no {key}")
        if type(value) not in (int, float) or value != value or abs(value) > 1e12:
            raise self.say(f"{key} is {_in_words(value)}, but must be a number")
        return value  # type: ignore[no-any-return]

    def whole(self, key: str, default: int | None = None) -> int:
        """A setting that is a whole number."""
        value = self.number(key, default)
        if value != int(value):
            raise self.say(f"{key}={value}: must be a whole number")
        return int(value)

    def flag(self, key: str, default: bool) -> bool:
        """A setting that is true or false."""
        value = scalar(self.settings.get(key, default))
        if type(value) not in (bool, int, float) or value not in (0, 1):
            raise self.say(f"{key} is {_in_words(value)}, but must be true or false")
        return bool(value)

    def modules(self) -> list[str]:
        """The generator's module list."""
        value = self.settings.get("module_list")
        if isinstance(value, Array) and value.values is not None:
            value = value.values.ravel().tolist()
        if isinstance(value, str):  # as it is written on a command line: [Const-512, ...]
            value = [part.strip(" \"'") for part in value.strip(" []()").split(",")]
        texts = [_text(item) for item in value] if isinstance(value, list | tuple) else []
        if not texts or None in texts:
            raise self.say(f"module_list is {_in_words(value)}, but must be a list of names of modules")
        return [str(text) for text in texts]

    def feature_maps(self) -> FeatureMaps:
        """Channels per stage."""
        base, least, most = (self.whole(f"fmap_{key}") for key in ("base", "min", "max"))
        least, most = (max(1, min(count, MOST_CHANNELS)) for count in (least, most))
        return FeatureMaps(base, float(self.number("fmap_decay")), least, most)


@dataclass(frozen=True, eq=False, repr=False)
class PublishedCheckpoint:
    """All networks of a file.

    Attributes:
        networks: by role.
        unknown: settings that mean nothing here, as text.
    """

    networks: dict[str, PublishedNetwork]
    unknown: list[str]


def read_checkpoint(path: Path) -> PublishedCheckpoint:
    """Read a published checkpoint; its variables are still views of what was read.

    Raises:
        ConfigError: it cannot be read, holds something else, or networks that this framework does not have; one
            sentence that names the file and what is wrong.
    """
    content, size = read_pickle(path), path.stat().st_size
    with naming(short(path.name, 60)):
        roles = STRUCTURES.get(len(content)) if isinstance(content, list | tuple) else None
        if roles is None or not all(isinstance(item, Network) for item in content):
            wanted = " or ".join(f"({', '.join(names)})" for names in STRUCTURES.values())
            raise ConfigError(f"holds {_in_words(content)}, not networks {wanted}")
        networks = {role: _network(role, item, size) for role, item in zip(roles, content, strict=True)}
        for network in networks.values():
            if network.number("label_size", 0) > 0:
                raise network.say("label_size is above 0: conditional networks cannot be imported")
        unknown = [text for network in networks.values() for text in network.unknown]
        if len(unknown) > MOST_NAMED:
            unknown = [*unknown[:MOST_NAMED], f"{len(unknown) - MOST_NAMED} more"]
        return PublishedCheckpoint(networks, unknown)


def scalar(value: Any) -> Any:
    """A number that sits in a numpy scalar, or in an array of one element, taken out; anything else as it is."""
    if isinstance(value, Array):
        value = value.values
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.item() if isinstance(value, np.generic) else value


def _network(role: str, network: Network, size: int) -> PublishedNetwork:
    state = _state(role, network)
    settings = state["static_kwargs"]
    unknown = [f"{role}.{_in_words(key)}" for key in state if key not in KNOWN_STATE]
    unknown += [f"{role}.{_in_words(key)}" for key in settings if key not in KNOWN[role[0]]]
    variables = dict(_variables(role, state))
    if role[0] == "G":
        parts = dict(_components(role, state))
        if "synthesis" in parts:
            unknown += [f"{role}/{name}" for name in variables if name != COUNTER]
            variables = dict(_variables(role, _state(role, parts.pop("synthesis"))))
        for name, part in parts.items():  # z goes straight into the synthesis
            if any(each != COUNTER for each, _ in _variables(role, _state(role, part))):
                raise ConfigError(f"{role}: its component '{short(name, 40)}' has weights, which no network here has")
    variables.pop(COUNTER, None)
    # Many variables can share the bytes of one.
    if sum(value.nbytes for value in variables.values()) > size:
        raise ConfigError(f"refused: the variables of {role} claim more bytes than the file has")
    return PublishedNetwork(role, settings, variables, [short(text, 60) for text in unknown])


def _state(role: str, network: Network) -> dict[str, Any]:
    state = network.state
    version = scalar(state.get("version"))
    if type(version) is not int or version not in VERSIONS:
        raise ConfigError(f"{role}: version is {_in_words(version)}, but must be 2, 3 or 4")
    for key, kind, needed in (("static_kwargs", dict, True), ("components", dict, False), ("variables", list, True)):
        value = state.get(key)
        if not isinstance(value, (kind, tuple) if kind is list else kind) and (needed or value is not None):
            raise ConfigError(f"{role}: {key} is {_in_words(value)}, but must be a {kind.__name__}")
    return state


def _components(role: str, state: dict[str, Any]) -> Iterator[tuple[str, Network]]:
    for name, part in (state.get("components") or {}).items():
        if not isinstance(part, Network) or not isinstance(name, str):
            raise ConfigError(f"{role}: a component is {_in_words(part)}, but must be a network")
        yield name, part


def _variables(role: str, state: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    for pair in state["variables"]:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or (name := _text(pair[0])) is None:
            raise ConfigError(f"{role}: variables holds {_in_words(pair)}, but must hold pairs of a name and an array")
        value = pair[1].values if isinstance(pair[1], Array) else pair[1]
        if isinstance(value, int | float | np.generic):
            value = np.asarray(value)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise ConfigError(f"{role}: variable {short(name, 80)} is {_in_words(pair[1])}, not an array of numbers")
        yield name.removesuffix(":0"), value


def _text(value: Any) -> str | None:
    value = scalar(value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else None


def _in_words(value: Any) -> str:
    """What a value is, without looking into containers, which may be without end."""
    value = scalar(value)
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, str | bytes):
        return short(str(value), 40)
    known = {Network: "a network", np.ndarray: "an array", Array: "an array"}
    return known.get(type(value), f"a {type(value).__name__}")
