"""How text becomes a dataclass of settings, from files and from ``key=value`` alike: each field's type decides.

Where text is declared (``str``, a ``Literal``, lists of them), the text is the value as it was typed, so that
``run.name=007`` and ``data.root=/photos #1`` arrive unharmed; everything else is YAML. OmegaConf merges and checks
types, :func:`check_values` what numbers and texts may be. References (``${...}``) and YAML's own (``*name``) mean
nothing anywhere: a run's settings must not depend on where they are read.
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
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from data_modules.errors import one_line
from wherewhat_pl.bounds import Range
from wherewhat_pl.errors import ConfigError, naming, nearest

LARGEST_FILE = 1 << 20  #: bytes of a file of settings; an experiment's has some hundred
LONGEST_TEXT, LONGEST_LIST = 4096, 200  #: characters of a value, values of a list
UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  #: control characters, and bytes that are no UTF-8
TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Setting:
    """One field of a dataclass of settings; a group of settings if its kind is a dataclass itself.

    Attributes:
        owner: the dataclass.
        name: of the field.
        kind: the declared type, without ``None`` and without its range.
        optional: whether the type allows ``None``.
        default: its value if nothing is said.
        range: the numbers it may be; None if it is no number (or said without ``Annotated``).
    """

    owner: type
    name: str
    kind: Any
    optional: bool
    default: Any
    range: Range | None

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
            words += f" {self.range}" if self.range else ""
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
    kinds = get_type_hints(owner, include_extras=True)
    for item in sorted(fields(owner), key=lambda item: item.name not in owner.__annotations__):
        value = getattr(defaults, item.name)
        kind = kinds[item.name]
        arms = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        (kind, *_) = (arm for arm in arms if arm is not NoneType)
        kind, within = get_args(kind) if get_origin(kind) is Annotated else (kind, None)
        found[item.name] = Setting(owner, item.name, kind, NoneType in arms, value, within)
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
        if len(value) > LONGEST_LIST * LONGEST_TEXT:
            raise ConfigError(f"{key}={value[:LONGEST_TEXT]}...: is too long")
        setting = known[key]
        _refuse_references(value, word)
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
                raise ConfigError(f"{word}: cannot be read ({one_line(error, 60)})") from None
    return layer


def read_file(path: Path, schema: type) -> DictConfig:
    """A YAML file of settings, and whatever else stands in it; what is declared as text needs no quotes.

    Raises:
        ConfigError: it is no such file, whatever it is; one sentence that names it.
    """
    with naming(path):
        try:
            if not path.is_file():  # a pipe would be waited for
                raise ConfigError("is no file")
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
            if len(content) > LARGEST_FILE:
                raise ConfigError("is too large for a file of settings")
            layer = OmegaConf.create(_with_text_quoted(content.decode(), schema) or "{}")
        except OSError as error:
            raise ConfigError(f"cannot be read ({error.strerror})") from None
        except ConfigError:
            raise
        except Exception as error:  # YAML's own errors are of many kinds and many lines long
            raise ConfigError(f"is no valid YAML ({one_line(error, 100)})") from None
        if not isinstance(layer, DictConfig):
            raise ConfigError("must hold keys and values")
    return layer


def merge(config: DictConfig, layer: DictConfig) -> DictConfig:
    """Settings with a layer over them; raises :class:`ConfigError` for an unknown key or a value of another type."""
    known = settings_of(OmegaConf.get_type(config))  # type: ignore[arg-type]
    for key, value in _leaves(OmegaConf.to_container(layer)):  # OmegaConf would name only the outermost unknown part
        if key not in known:
            raise ConfigError(f"{key}: no such setting{_nearest_key(key, list(known))}")
        if is_dataclass(known[key].kind) and value != {}:
            raise ConfigError(f"{key}={'null' if value is None else value}: must be {known[key].in_words}")
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


def check_values(values: Any) -> None:
    """Whether numbers and texts are ones that a setting may be; raises :class:`ConfigError` for the first that is not.

    Args:
        values: a dataclass of settings, its types right.
    """
    for key, setting in _settings(values).items():
        value = setting.default
        if setting.range and value is not None and value not in setting.range:
            raise ConfigError(f"{key}={value}: must be {setting.in_words}")
        texts = value if isinstance(value, list) else [value] * isinstance(value, str)
        if len(texts) > LONGEST_LIST:
            raise ConfigError(f"{key}: holds {len(texts)} values; must be a list of at most {LONGEST_LIST}")
        for text in texts:
            if not isinstance(text, str) or len(text) > LONGEST_TEXT or UNPRINTED.search(text):
                raise ConfigError(
                    f"{key}={text}: must be text of at most {LONGEST_TEXT} characters, without control characters"
                )


def _is_text(kind: Any) -> bool:
    return kind is str or get_origin(kind) is Literal


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _with_text_quoted(text: str, kind: Any) -> str:
    """YAML with quotes around what is declared as text, for YAML would take 007, 1.10 or 12:30 for numbers."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        return ""
    _quote(node, kind, set())
    return yaml.serialize(node, allow_unicode=True)  # type: ignore[no-any-return]


def _quote(node: yaml.Node, kind: Any, seen: set[int]) -> None:
    if id(node) in seen:  # a few aliases of aliases stand for billions of values
        raise ConfigError("an alias (*name) means nothing here; write the value itself")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        known = settings_of(kind) if is_dataclass(kind) else {}  # type: ignore[arg-type]
        for key, value in node.value:
            setting = known.get(str(key.value))
            _quote(key, None, seen)
            _quote(value, setting.kind if setting else None, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _quote(item, get_args(kind)[0] if _is_list(kind) else None, seen)
    elif isinstance(node, yaml.ScalarNode):
        _refuse_references(node.value, node.value)
        # OmegaConf takes more for numbers than YAML does, 1e5 in a name for one.
        if node.tag == TEXT or (_is_text(kind) and node.tag != "tag:yaml.org,2002:null"):
            node.tag, node.style = TEXT, node.style or "'"


def _refuse_references(value: str, said: str) -> None:
    """``${...}`` is how OmegaConf refers to other settings and the environment, ``???`` its mark of what is missing."""
    if "${" in value or value == "???":
        raise ConfigError(f"{said}: ${{...}} and ??? mean nothing here; give the value itself")


def _leaves(layer: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(layer, dict) or not layer:
        return [(prefix, layer)] if prefix else []
    return [leaf for key, value in layer.items() for leaf in _leaves(value, f"{prefix}.{key}" if prefix else str(key))]


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
        code, _, comment = line.partition("  # type: ")[0].partition("# ")
        if match := re.match(r"class (\w+)", code):
            owner = match[1]
        elif match := re.match(r"    (\w+): ", code):
            name = f"{owner}.{match[1]}"
            comments[name], before = before, ""
        elif re.match(r" {0,4}[^\s)\]}]", code):  # what follows the fields
            name = ""
        if code.strip():
            comments[name] += comment
        else:
            before = f"{before}{comment} " if comment else ""
    return comments
