"""``eval.jsonl``: one line per metric that was measured, with all that is needed to read the number later.

Others write such files, too: a row is checked once, here, against :data:`ROW` and :data:`OF_METRIC`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import numpy as np
import torch

from data_modules.errors import one_line
from wherewhat_pl.run.files import append_row, read_rows

Row = dict[str, Any]

#: what makes two measurements the same one
IDENTITY = ("metric", "images_seen", "seed", "distance", "settings")

Plain = str | bool | float | None

#: the types of a row's values
ROW: dict[str, Any] = {
    "metric": str,
    "images_seen": int,
    "seed": int,
    "distance": str | None,
    "settings": dict[str, Plain],
    "value": float | None,
    "values": dict[str, float | None],
    "details": dict[str, Any],
    "used": dict[str, Plain],
    "data": dict[str, Plain],
    "warnings": list[str],
    "seconds": float,
}

#: what these metrics' rows must hold beyond that; the lists in their details are of one length
OF_METRIC: dict[str, dict[str, Any]] = {
    "tpl": {
        "distance": str,
        "values": {"num_active": float},
        "used": {"points": int, "base_codes": int, "threshold": float, "low": float, "high": float},
        "details": {"mean": list[float | None], "std": list[float | None], "active": list[bool]},
    },
    "where": {"details": {"latents": list[int], "lift": list[float | None], "area": list[float | None]}},
    "mig": {"details": {"factors": list[str], "normalized_mutual_information": list[list[float | None]]}},
}

#: what a row may lack, and what that means
ABSENT: Row = {"distance": None, "value": None, "warnings": [], "seconds": 0.0}
ABSENT |= {name: {} for name in ("settings", "values", "details", "used", "data")}


def read_results(path: Path, complain: Callable[[str], object] = lambda sentence: None) -> list[Row]:
    """The rows of a results file that hold what :data:`ROW` says, oldest first; none if there is no file.

    Args:
        path: the file.
        complain: told, in a sentence, of each row that is left out.
    """
    rows = []
    for row in (ABSENT | row for row in read_rows(path, complain)):
        if odd := _odd_keys(row):
            name = one_line(row.get("metric", "?"), 40)
            complain(f"{path.name}: a row of metric {name} cannot be read ({', '.join(odd)}: not as expected)")
        else:
            rows.append(row)
    return rows


def fits(value: Any, kind: Any) -> bool:
    """Whether what JSON gave is of a type; numbers are finite, whole ones are ``float``, too, ``bool`` is none.

    Args:
        value: anything.
        kind: a type as in :data:`ROW`, or a dictionary of types that a dictionary must have.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(fits(value.get(name), part) for name, part in kind.items())
    if origin is UnionType:
        return any(fits(value, part) for part in inner)
    if origin is list:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, inner[1]) for item in value.values())
    if kind in (int, float):
        whole_or_not = int if kind is int else int | float
        number = isinstance(value, whole_or_not) and not isinstance(value, bool)
        return number and abs(value) <= sys.float_info.max
    return kind is Any or isinstance(value, kind)


def _odd_keys(row: Row) -> list[str]:
    """Names of the values that are not what they should be."""
    if odd := [name for name, kind in ROW.items() if not fits(row.get(name), kind)]:
        return odd
    more = OF_METRIC.get("tpl" if row["metric"].startswith("tpl_") else row["metric"], {})
    if odd := [name for name, kind in more.items() if not fits(row[name], kind)]:
        return odd
    lists = [row["details"][name] for name in more.get("details", ())]
    lengths = {len(item) for each in lists for item in (each if each and isinstance(each[0], list) else [each])}
    return ["details"] if len(lengths) > 1 or 0 in lengths else []


def append_result(path: Path, row: Row) -> None:
    """Append one row to a results file."""
    append_row(path, to_json(row))


def find_result(rows: list[Row], wanted: Row) -> Row | None:
    """The newest row that measured what ``wanted`` names: equal in every key of :data:`IDENTITY`."""
    identity = to_json({key: wanted.get(key) for key in IDENTITY})
    return next((row for row in reversed(rows) if all(row.get(key) == identity[key] for key in IDENTITY)), None)


def newest_per_metric(rows: list[Row]) -> dict[str, Row]:
    """For each metric the row of the longest-trained checkpoint, the newest of several."""
    newest: dict[str, Row] = {}
    for row in rows:
        if row["metric"] not in newest or row["images_seen"] >= newest[row["metric"]]["images_seen"]:
            newest[row["metric"]] = row
    return newest


def to_json(value: Any) -> Any:
    """Tensors, arrays and numpy numbers as lists and numbers; NaN and infinities, which JSON lacks, as None."""
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
