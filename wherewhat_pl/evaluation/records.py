"""A run as one record: its settings, what was measured on its last checkpoint, and what it cost.

Records are read from run folders, or from files of records (a line of JSON each) that were written from such: results
that are kept when their runs are not. Tables are made of them.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

from wherewhat_pl.config import to_dict
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.registry import tpl_metrics
from wherewhat_pl.evaluation.results import ROW, Row, fits, read_results, to_json
from wherewhat_pl.run.files import flatten, read_rows, write_atomically
from wherewhat_pl.run.folder import CHANGEABLE, RunDir
from wherewhat_pl.settings import ExperimentConfig

Complain = Callable[[str], object]

#: what must agree between two results of a metric for them to be comparable
COMPARABLE = ("seed", "distance", "settings", "used", "data")

#: of the settings that may change while a run is continued, those that make its result another one
LENGTH, START = "trainer.max_kimg", "run.init_from"


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        name: ``experiment/name``.
        seed: of its training.
        settings: all that make it what it is but the seed, by dotted keys.
        images_seen: by its last checkpoint.
        max_images: how many it was to see.
        results: rows of ``eval.jsonl`` on that checkpoint, with ``metric``, ``value``, ``values`` and what is
            :data:`COMPARABLE`; the newest of those that agree in it.
        cpu_minutes: CPU time of its training; None if that was not recorded.
        wall_minutes: the clock's.
        processor: it was trained on; empty if unknown.
    """

    name: str
    seed: int
    settings: dict[str, Any]
    images_seen: int
    max_images: int
    results: list[Row]
    cpu_minutes: float | None = None
    wall_minutes: float | None = None
    processor: str = ""

    @property
    def finished(self) -> bool:
        return self.images_seen >= self.max_images


OF_RECORD = get_type_hints(Record)
OF_RESULT = {name: ROW[name] for name in ("metric", "value", "values", *COMPARABLE)}


def read_records(patterns: str, complain: Complain) -> list[Record]:
    """Records of what patterns match, in the order of their paths.

    Args:
        patterns: run folders, folders of runs, or files of records, or patterns of them; several with commas.
        complain: told, in a sentence, of each run that cannot be read and is left out.

    Raises:
        ConfigError: there is none.
    """
    matches = [Path(match) for pattern in patterns.split(",") for match in glob.glob(os.path.expanduser(pattern))]
    found = sorted({path for match in matches for path in _places(match)})
    records: list[Record] = []
    for path in found:
        try:
            records += read_file(path, complain) if path.suffix == ".jsonl" else [record_of(RunDir(path), complain)]
        except (ConfigError, OSError) as error:
            complain(f"{path} is left out: {error}")
    if not records:
        raise ConfigError(f"runs={patterns}: {'none of these can be read' if found else 'there is no run'}")
    return records


def _places(path: Path) -> list[Path]:
    if path.suffix == ".jsonl" and path.is_file():
        return [path]
    return [path] if _is_run(path) else [child for child in path.glob("*") if _is_run(child)]


def _is_run(path: Path) -> bool:
    return (path / "config.yaml").exists() or (path / "eval.jsonl").exists() or (path / "checkpoints").is_dir()


def record_of(run: RunDir, complain: Complain) -> Record:
    """The record of a run's folder; raises :class:`ConfigError` if its settings cannot be read."""
    config, provenance, images_seen = run.settings(), run.provenance(), run.images_seen()
    settings = grouping_settings(config)
    if isinstance(data := provenance.get("data"), dict) and "source" in data:  # what `auto` has come to
        settings["data.source"] = str(data["source"])
    rows = read_results(run.eval_file, lambda sentence: complain(f"{run.path}: {sentence}"))
    return Record(
        name=f"{config.experiment}/{run.path.name}",
        seed=config.seed,
        settings=settings,
        images_seen=images_seen,
        max_images=int(config.trainer.max_kimg * 1000),
        results=[_result(row) for row in rows if row["images_seen"] == images_seen],
        processor=str(provenance.get("processor") or ""),
        **(run.cost_at(images_seen) or {}),
    )


def grouping_settings(config: ExperimentConfig) -> dict[str, Any]:
    """What tells one group of runs from another: the settings that make a run another one, without the seed."""
    settings = flatten(to_dict(config))
    if settings[START]:
        settings[START] = "/".join(Path(settings[START]).parts[-2:])  # where the runs lie is the machine's
    kept = {key for key in settings if not CHANGEABLE.fullmatch(key)} | {LENGTH, START}
    return {key: settings[key] for key in sorted(kept - {"seed"})}


def _result(row: Row) -> Row:
    short = {name: row[name] for name in OF_RESULT}
    if row["metric"] in tpl_metrics():  # from which what counts as active is read
        short["details"] = {"mean": row["details"]["mean"]}
    return short


def read_file(path: Path, complain: Complain) -> list[Record]:
    """The records of a file; lines that are none are passed over, and said."""
    records = []
    for row in read_rows(path, complain):
        if _is_record(row):
            records.append(Record(**row))
        else:
            complain(f"{path.name}: a line is no record of a run and is passed over")
    return records


def _is_record(row: Row) -> bool:
    if row.keys() != OF_RECORD.keys() or not fits(row, OF_RECORD):
        return False
    return isinstance(row["settings"].get("experiment"), str) and all(map(_is_result, row["results"]))


def _is_result(row: Any) -> bool:
    if not fits(row, OF_RESULT):
        return False
    return row["metric"] not in tpl_metrics() or fits(row.get("details"), {"mean": list[float | None]})


def write_file(path: Path, records: Sequence[Record]) -> None:
    """Write a file of records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(to_json(asdict(record)), ensure_ascii=False) for record in records]
    write_atomically(path, "".join(line + "\n" for line in lines).encode())
