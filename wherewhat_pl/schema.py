"""How text becomes a dataclass of settings, from files and from ``key=value`` alike: each field's type decides.

Where text is declared (``str``, a ``Literal``, lists of them), the text is the value as it was typed, so that
``run.name=007`` and ``data.root=/photos #1`` arrive unharmed; everything else is YAML. OmegaConf merges and checks.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError, nearest


@dataclass(frozen=True)
class Setting:
    """One field of a dataclass of settings; a group of settings if its kind is a dataclass itself.

    Attributes:
        owner: the dataclass.
        name: of the field.
        kind: the declared type, without ``None``.
        optional: whether the type allows ``None``.
        default: its value if nothing is said.
    """

    owner: type
    name: str
    kind: Any
    optional: bool
    default: Any

    @property
    def in_words(self) -> str:
        """What a value must be, as the end of a sentence."""
        if get_origin(self.kind) is Literal:
            words = "one of " + ", ".join(get_args(self.kind))
        elif _is_list(self.kind):
            words = "a list, a,b or [a, b]"
        else:
            known = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
            words = known.get(self.kind, "settings, {key: value}")
        return words + " or null" * self.optional

    @property
    def about(self) -> str:
        """The comment that documents the field in the source, or a group's own docstring."""
        owner = next(cls for cls in self.owner.__mro__ if self.name in cls.__annotations__)
        comment = _comments(inspect.getsourcefile(owner) or "").get(f"{owner.__name__}.{self.name}", "")
        doc: str = (self.kind.__doc__ or "").partition("\n")[0] if is_dataclass(self.kind) else ""
        # Python gives a dataclass without a docstring a list of its fields.
        return comment or ("" if doc.startswith(getattr(self.kind, "__name__", "") + "(") else doc)


@cache
def settings_of(schema: type) -> dict[str, Setting]:
    """Every setting of a dataclass by its dotted key, its own before inherited ones, a group before what it holds."""
    return _settings(schema())


def _settings(defaults: Any) -> dict[str, Setting]:
    owner, found = type(defaults), {}
    kinds = get_type_hints(owner)
    for item in sorted(fields(owner), key=lambda item: item.name not in owner.__annotations__):
        value = getattr(defaults, item.name)
        kind = kinds[item.name]
        arms = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        (kind, *_) = (arm for arm in arms if arm is not NoneType)
        found[item.name] = Setting(owner, item.name, kind, NoneType in arms, value)
        if is_dataclass(value):
            found |= {f"{item.name}.{key}": setting for key, setting in _settings(value).items()}
    return found


def read_words(words: Sequence[str], schema: type) -> DictConfig:
    """``key=value`` with dotted keys, as a layer to be merged.

    ``null``, ``None`` or nothing after ``=`` is no value, where none is allowed. A list may be said as ``a,b``.

    Raises:
        ConfigError: no ``=``, an unknown key, no value, a reference ``${...}``, or a value that is no YAML.
    """
    layer, known = OmegaConf.create(), settings_of(schema)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{word}': settings are given as key=value, e.g. model.ps.weight=0.1")
        if key not in known:
            raise ConfigError(f"{key}: no such setting{_nearest_key(key, list(known))}")
        setting = known[key]
        if "${" in value or value == "???":  # OmegaConf's references and its mark of what is missing
            raise ConfigError(f"{word}: ${{...}} and ??? mean nothing here; give the value itself")
        if setting.optional and value in ("", "null", "None"):
            OmegaConf.update(layer, key, None)
        elif _is_list(setting.kind) and not value.startswith("["):
            OmegaConf.update(layer, key, [part for part in value.split(",") if part])
        elif not value or (is_dataclass(setting.kind) and not value.startswith("{")):
            raise ConfigError(f"{word}: must be {setting.in_words}")
        elif _is_text(setting.kind):
            OmegaConf.update(layer, key, value)
        else:
            try:
                layer.merge_with_dotlist([f"{key}={_with_text_quoted(value, setting.kind)}"])
            except Exception as error:  # YAML's own errors are of many kinds and many lines long
                raise ConfigError(f"{word}: cannot be read ({one_line(error)})") from None
    return layer


def read_file(path: Path, schema: type) -> Any:
    """A YAML file as OmegaConf reads it, but for what is declared as text: that is text without quotes too."""
    text = path.read_text(encoding="utf-8")
    return OmegaConf.create(_with_text_quoted(text, schema) or "{}")


def merge(config: DictConfig, layer: DictConfig) -> DictConfig:
    """Settings with a layer over them; raises :class:`ConfigError` for an unknown key or a value of another type."""
    known = settings_of(OmegaConf.get_type(config))  # type: ignore[arg-type]
    for key in _leaf_keys(OmegaConf.to_container(layer)):  # OmegaConf would name only the outermost unknown part
        if key not in known:
            raise ConfigError(f"{key}: no such setting{_nearest_key(key, list(known))}")
    try:
        merged = OmegaConf.merge(config, layer)
        OmegaConf.resolve(merged)
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        if key not in known or not isinstance(error, ValidationError):
            raise ConfigError(f"{key or 'settings'}: {str(error).splitlines()[0]}") from None
        value = OmegaConf.select(layer, key)
        raise ConfigError(f"{key}={'null' if value is None else value}: must be {known[key].in_words}") from None
    assert isinstance(merged, DictConfig)
    return merged


def _is_text(kind: Any) -> bool:
    return kind is str or get_origin(kind) is Literal


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _with_text_quoted(text: str, kind: Any) -> str:
    """YAML with quotes around what is declared as text, for YAML would take 007, 1.10 or 12:30 for numbers."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        return ""
    _quote(node, kind)
    return yaml.serialize(node, allow_unicode=True)  # type: ignore[no-any-return]


def _quote(node: yaml.Node, kind: Any) -> None:
    if isinstance(node, yaml.MappingNode) and is_dataclass(kind):
        known = settings_of(kind)  # type: ignore[arg-type]
        for key, value in node.value:
            if setting := known.get(str(key.value)):
                _quote(value, setting.kind)
    elif isinstance(node, yaml.SequenceNode) and _is_list(kind):
        for item in node.value:
            _quote(item, get_args(kind)[0])
    elif isinstance(node, yaml.ScalarNode) and _is_text(kind) and node.tag != "tag:yaml.org,2002:null":
        node.tag, node.style = "tag:yaml.org,2002:str", node.style or "'"


def _leaf_keys(layer: Any, prefix: str = "") -> list[str]:
    if not isinstance(layer, dict) or not layer:
        return [prefix] if prefix else []
    return [
        leaf for key, value in layer.items() for leaf in _leaf_keys(value, f"{prefix}.{key}" if prefix else str(key))
    ]


def _nearest_key(key: str, keys: Sequence[str]) -> str:
    """Nearest by the whole dotted name, or by the last part alone (``ps.weigth``, ``lr``)."""
    if hint := nearest(key, keys):
        return hint
    by_leaf = {name.rpartition(".")[2]: name for name in reversed(keys)}
    match = difflib.get_close_matches(key.rpartition(".")[2], list(by_leaf), n=1, cutoff=0.5)
    return f"; did you mean '{by_leaf[match[0]]}'?" if match else ""


@cache
def _comments(file: str) -> dict[str, str]:
    """``Class.field`` -> its comment, the lines right before it and what stands beside it; none without the source."""
    source = Path(file).read_text(encoding="utf-8") if Path(file).is_file() else ""
    comments, before, owner, name = {"": ""}, "", "", ""
    for line in source.splitlines():
        code, _, comment = line.partition("# ")
        if match := re.match(r"class (\w+)", code):
            owner = match[1]
        elif match := re.match(r"    (\w+): ", code):
            name = f"{owner}.{match[1]}"
            comments[name], before = before, ""
        if code.strip():
            comments[name] += comment
        else:
            before = f"{before}{comment} " if comment else ""
    return comments
