"""Runs that differ in nothing but their seed, together, under a name that says what tells them from others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wherewhat_pl.config import to_dict
from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.evaluation.records import Complain, Record
from wherewhat_pl.run.files import flatten
from wherewhat_pl.settings import ExperimentConfig

LONGEST_VALUE = 32  #: characters of a setting's value in a group's name

Settings = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Runs of equal settings.

    Attributes:
        name: what tells it from the others, as ``key=value``.
        records: its runs, by seed, then by what else is a repeat.
    """

    name: str
    records: list[Record]


def grouped(records: Sequence[Record], rows: Sequence[str], over: Sequence[str], complain: Complain) -> list[Group]:
    """Groups in the order of the settings that name them.

    Args:
        records: of the runs.
        rows: the settings that name groups; none: all that differ.
        over: settings whose values are repeats in a group, as seeds are: for one side of a grid by itself.
        complain: told of runs that repeat another one's settings and seed; the first one counts.

    Raises:
        ConfigError: ``rows`` or ``over`` names no setting, or ``rows`` does not tell all groups apart.
    """
    defaults = flatten(to_dict(ExperimentConfig()))  # for settings that are younger than a record
    known = sorted({key for record in records for key in record.settings})
    pooled = _keys(known, over, "over") if records else []
    runs: dict[str, dict[tuple[int, str], Record]] = {}
    for record in records:
        own = {key: record.settings.get(key, defaults.get(key)) for key in known}
        repeat = record.seed, _fixed([own.pop(key) for key in pooled])
        same = runs.setdefault(_fixed(own), {})
        if repeat in same:
            complain(f"{record.name} is left out: {same[repeat].name} has the same settings and seed")
        else:
            same[repeat] = record
    settings: list[Settings] = [json.loads(key) for key in runs]
    naming = _chosen(settings, rows) if rows else _differing(settings)
    named = []
    for own, repeats in zip(settings, runs.values(), strict=True):
        alike = [other for other in settings if other.get("experiment") == own.get("experiment")]
        parts = [_said(key, own[key]) for key in naming if rows or key == "experiment" or _differs(key, alike)]
        group = Group(", ".join(parts) or own.get("experiment", "all"), [repeats[repeat] for repeat in sorted(repeats)])
        named.append(([_sortable(own[key]) for key in naming], group))
    return [group for _, group in sorted(named, key=lambda pair: pair[0])]


def in_words(value: Any) -> str:
    """A setting's value; of a long one the beginning, and what tells it from others that begin so."""
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False).replace('"', "")
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 8]}..{digest}"


def _differing(settings: Sequence[Settings]) -> list[str]:
    """What differs within an experiment; before it the experiment itself, where there are several."""
    experiments = {own.get("experiment") for own in settings}
    same = [[own for own in settings if own.get("experiment") == experiment] for experiment in experiments]
    keys = list(settings[0]) if settings else []
    within = [key for key in keys if any(_differs(key, group) for group in same)]
    return ["experiment"] * (len(experiments) > 1) + within


def _chosen(settings: Sequence[Settings], rows: Sequence[str]) -> list[str]:
    chosen = _keys(settings[0] if settings else [], rows, "rows")
    if len({_fixed([own[key] for key in chosen]) for own in settings}) < len(settings):
        missing = ", ".join(_short(key) for key in _differing(settings) if key not in chosen)
        raise ConfigError(f"rows={','.join(rows)}: does not tell all groups apart; they differ in {missing}, too")
    return chosen


def _keys(known: Iterable[str], names: Sequence[str], said: str) -> list[str]:
    """Settings by their names, short as in the names of runs or whole; ``said`` is where they were asked for."""
    keys = {_short(key): key for key in known}
    for name in names:
        if name not in keys and name not in keys.values():
            raise ConfigError(f"{said}={name}: no such setting{suggestion(name, [*keys, *keys.values()])}")
    return [keys.get(name, name) for name in names]


def _differs(key: str, settings: Sequence[Settings]) -> bool:
    return len({_fixed(own[key]) for own in settings}) > 1


def _fixed(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _said(key: str, value: Any) -> str:
    return str(value) if key == "experiment" else f"{_short(key)}={in_words(value)}"


def _short(key: str) -> str:
    """As in the names of runs."""
    return key.removeprefix("model.")


def _sortable(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before texts."""
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if is_number else 0.0, "" if is_number else _fixed(value)
