"""Groups of runs side by side: mean and spread over seeds of what was measured, and what is not mere noise.

Results compare only if they were measured in the same way (``records.COMPARABLE``); where runs were not, a metric has
a column for each way. In a column the best group and all that do not differ from it are marked (``comparison.py``).
Nothing is where it is unknown whether high or low is better, nor in a TPL of different numbers of active dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.evaluation import inception as inception  # registers its metrics, after those of measures
from wherewhat_pl.evaluation.comparison import LEAST_SEEDS, LEVEL, against_best
from wherewhat_pl.evaluation.groups import Group, grouped, in_words
from wherewhat_pl.evaluation.measures import with_threshold
from wherewhat_pl.evaluation.records import COMPARABLE, Complain, Record
from wherewhat_pl.evaluation.registry import METRICS, tpl_metrics
from wherewhat_pl.evaluation.results import Row
from wherewhat_pl.evaluation.settings import TableSettings
from wherewhat_pl.run.files import flatten


@dataclass(frozen=True)
class Cell:
    """What was measured of one group.

    Attributes:
        values: one per seed, at least one.
        p: against the best group, corrected; None if it was not tested.
    """

    values: tuple[float, ...]
    p: float | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def std(self) -> float | None:
        """With n - 1; None for one seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def bold(self) -> bool:
        """Whether it is the best, or not distinguishable from it."""
        return self.p is not None and self.p >= LEVEL


@dataclass(frozen=True)
class Column:
    """A number of each group.

    Attributes:
        name: of the metric, its part, or the cost.
        cells: one per group; None where no run of it has the number.
        digits: to show after the point; None: as many as its size asks for.
    """

    name: str
    cells: list[Cell | None]
    digits: int | None = None

    @property
    def tested(self) -> bool:
        return any(cell is not None and cell.p is not None for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """A line per group.

    Attributes:
        groups: of runs.
        columns: what was measured, then what it cost: images seen (thousands) and, where recorded, CPU minutes.
        caption: what the numbers are and how they were compared.
        counted: what a group has several of: seeds, or runs where other settings are repeats too.
    """

    groups: list[Group]
    columns: list[Column]
    caption: str
    counted: str = "seeds"


def table_of(records: Sequence[Record], settings: TableSettings, complain: Complain) -> Table:
    """The table of some runs.

    Args:
        records: of the runs.
        settings: what of them.
        complain: told, in a sentence, of what is left out.

    Raises:
        ConfigError: nothing is left to show, or a metric or setting is asked for that there is not.
    """
    shown = list(records) if settings.unfinished else _finished(records, complain)
    if settings.threshold is not None:
        shown = [_with_threshold(record, settings.threshold) for record in shown]
    groups = grouped(shown, settings.rows, settings.over, complain)
    if few := [group.name for group in groups if len(group.records) < settings.seeds]:
        complain(f"fewer than {settings.seeds} seeds, left out: {'; '.join(few)}")
    groups = [group for group in groups if len(group.records) >= settings.seeds]
    if not groups:
        raise ConfigError("no run is left to show")
    measured = [column for name in _names(groups, settings.metrics) for column in _columns(groups, name, complain)]
    images = [_cell([r.images_seen / 1000 for r in group.records]) for group in groups]
    minutes = [_cell([r.cpu_minutes for r in group.records if r.cpu_minutes is not None]) for group in groups]
    costs = [Column("kimg", images, 0), Column("CPU min", minutes, 1)]
    caption = _caption(measured, settings.over)
    if any(minutes):
        timed = {r.processor or "unknown" for group in groups for r in group.records if r.cpu_minutes is not None}
        caption += f" CPU minutes on: {', '.join(sorted(timed))}."
    columns = measured + [column for column in costs if any(column.cells)]
    return Table(groups, columns, caption, "runs" if settings.over else "seeds")


def _finished(records: Sequence[Record], complain: Complain) -> list[Record]:
    if left_out := [f"{r.name} ({r.images_seen:,} of {r.max_images:,} images)" for r in records if not r.finished]:
        complain(f"unfinished, left out (unfinished=true shows them): {', '.join(left_out)}")
    return [record for record in records if record.finished]


def _with_threshold(record: Record, threshold: float) -> Record:
    results = [with_threshold(r, threshold) if r["metric"] in tpl_metrics() else r for r in record.results]
    return replace(record, results=results)


def _names(groups: Sequence[Group], wanted: Sequence[str]) -> list[str]:
    """Columns: those wanted, or all that were measured, with the number of active dimensions beside each TPL."""
    rows = [row for group in groups for record in group.records for row in record.results]
    measured = {row["metric"] for row in rows}
    known = measured | METRICS.keys() | {f"{row['metric']}.{part}" for row in rows for part in row["values"]}
    for name in wanted:
        if name not in known:
            raise ConfigError(f"metrics={name}: no run was measured by that{suggestion(name, sorted(known))}")
    if wanted:
        return list(wanted)
    ordered = [name for name in METRICS if name in measured] + sorted(measured - METRICS.keys())
    return [column for name in ordered for column in (name, f"{name}.num_active")[: 1 + (name in tpl_metrics())]]


def _columns(groups: Sequence[Group], name: str, complain: Complain) -> list[Column]:
    """A metric's, or its part's: one column for each of as few ways of measuring as the runs that have it need."""
    metric, _, part = name.partition(".")
    # By way; of several rows the newest, which stands last.
    rows = [[{_way(r): r for r in run.results if r["metric"] == metric} for run in group.records] for group in groups]
    ways = _cover([run for group in rows for run in group])
    columns = []
    for way in ways:
        found = [[run[way] for run in group if way in run] for group in rows]
        values = [[row["values"].get(part) if part else row["value"] for row in group] for group in found]
        title = name + (_differences(way, ways) if len(ways) > 1 else "")
        if undefined := sum(group.count(None) for group in values):
            complain(f"{title} is undefined in {undefined} run{'s' * (undefined > 1)}, which its numbers leave out")
        cells = [_cell([value for value in group if value is not None]) for group in values]
        better = METRICS[metric].better if metric in METRICS and not part else None
        active = {row["values"].get("num_active") for group in found for row in group}
        if better and not (metric in tpl_metrics() and len(active) > 1):
            p_values = against_best([cell.values if cell else () for cell in cells], better)
            cells = [cell and replace(cell, p=p) for cell, p in zip(cells, p_values, strict=True)]
        columns.append(Column(title, cells))
    return columns or [Column(name, [None] * len(groups))]


def _cell(values: Sequence[float]) -> Cell | None:
    return Cell(tuple(map(float, values))) if values else None


def _way(row: Row) -> str:
    return json.dumps({name: row[name] for name in COMPARABLE}, sort_keys=True)


def _cover(runs: Sequence[dict[str, Row]]) -> list[str]:
    """As few ways as leave no run out: first the one that most runs were measured in, and so on."""
    left, chosen = [run for run in runs if run], []
    while left:
        known = dict.fromkeys(way for run in left for way in run)
        chosen.append(max(known, key=lambda way: sum(way in run for run in left)))
        left = [run for run in left if chosen[-1] not in run]
    return chosen


def _differences(way: str, ways: Sequence[str]) -> str:
    """What tells a way of measuring from the others, in brackets."""
    own, *others = (flatten(json.loads(each)) for each in (way, *ways))
    differ = sorted(key for key in set().union(*others) if any(each.get(key) != own.get(key) for each in others))
    said = dict.fromkeys(f"{key.rpartition('.')[2]}={in_words(own.get(key))}" for key in differ)
    return f" [{', '.join(said)}]"


def _caption(columns: Sequence[Column], over: Sequence[str]) -> str:
    untested = ", ".join(column.name for column in columns if not column.tested)
    repeats = " and ".join(["seeds", *over])
    said = f"Mean ± standard deviation (n - 1) over {repeats}; (n): over n {'runs' if over else 'seeds'} only."
    if any(column.tested for column in columns):
        said += (
            f" Bold: the best mean and all that cannot be told apart from it at {100 * LEVEL:.0f} % (Welch's t-test "
            "against the best, Holm's correction over a column's groups; groups of fewer than "
            f"{LEAST_SEEDS} seeds are not tested)."
        )
    return said + (f" Not tested: {untested}." if untested else "")
