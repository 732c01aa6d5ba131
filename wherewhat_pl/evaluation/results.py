"""``eval.jsonl``: one line per metric that was measured, with all that is needed to read the number later."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wherewhat_pl.run.files import append_row, read_rows

Row = dict[str, Any]

#: what makes two measurements the same one
IDENTITY = ("metric", "images_seen", "seed", "distance", "settings")


def read_results(path: Path) -> list[Row]:
    """All rows of a results file, oldest first; none if there is no file."""
    return [row for row in read_rows(path) if "metric" in row]


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
