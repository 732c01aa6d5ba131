"""Measure a model by metrics' names; each result is a line of a results file, measured once."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from wherewhat_pl.errors import warn
from wherewhat_pl.evaluation import inception as inception  # registers its metrics, after those of measures
from wherewhat_pl.evaluation.context import EvaluationContext
from wherewhat_pl.evaluation.measures import tpl_settings, with_threshold
from wherewhat_pl.evaluation.registry import METRICS, check_metrics
from wherewhat_pl.evaluation.results import Row, append_result, find_result, read_results, to_json
from wherewhat_pl.metrics.inputs import MetricWarning


def evaluate(
    context: EvaluationContext, names: Sequence[str], file: Path, force: bool = False, quiet: bool = False
) -> dict[str, Row]:
    """Measure a model and append each result to a results file as soon as it is there.

    A metric that was measured before, on the same model and with the same settings, is not measured again.

    Args:
        context: the model, its data, and how to measure.
        names: of the metrics.
        file: the results, e.g. a run's ``eval.jsonl``.
        force: measure again.
        quiet: no bars and no lines on standard output.

    Returns:
        The row of each metric, new or found.

    Raises:
        ConfigError: as :func:`check_metrics`; nothing has been measured then.
    """
    check_metrics(list(names), context)
    rows: dict[str, Row] = {}
    known = [] if force else read_results(file)
    for number, name in enumerate(dict.fromkeys(names), start=1):
        row = find_result(known, identity(name, context))
        before = row is not None
        if row is None:
            with _bar(context, f"{name} ({number}/{len(names)})", quiet):
                row = measure(name, context)
            append_result(file, row)
        if METRICS[name].is_tpl:
            row = with_threshold(row, tpl_settings(name.removeprefix("tpl_"), context.settings).threshold)
        rows[name] = row
        if not quiet:
            print(result_line(row) + ("   measured before" if before else ""), flush=True)
            for warning in [] if before else row["warnings"]:
                warn(warning)
    return rows


def identity(name: str, context: EvaluationContext) -> Row:
    """What tells one measurement from another; known before it is made."""
    settings, metric = context.settings, METRICS[name]
    return {
        "metric": name,
        "images_seen": context.images_seen,
        "seed": settings.seed,
        "distance": settings.distance if metric.is_tpl else None,
        "settings": {key: getattr(settings, key) for key in metric.settings} | context.identity,
    }


def measure(name: str, context: EvaluationContext) -> Row:
    """Measure one metric, without writing it down; on all processes together if the metric is ``split``."""
    metric, started = METRICS[name], time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MetricWarning)
        outcome = metric.measure(context)
    # Our own warnings; what libraries say about their fits (convergence, deprecation) is not for this run's readers.
    own = [str(w.message) for w in caught if w.category in (UserWarning, MetricWarning)]
    row = identity(name, context) | {
        "value": outcome.value,
        "values": outcome.values,
        "details": outcome.details,
        "used": outcome.settings,
        "data": _data(context, metric.needs),
        "warnings": list(dict.fromkeys(own)),
        "seconds": round(time.monotonic() - started, 2),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return to_json(row)  # type: ignore[no-any-return]


def result_line(row: Row) -> str:
    """One row for a terminal: name, value, what else matters, seconds."""
    value = "undefined" if row["value"] is None else f"{row['value']:.4f}"
    more = []
    if METRICS[row["metric"]].is_tpl:
        active, n = int(row["values"]["num_active"]), len(row["details"]["mean"])
        more = [f"{active} of {n} latents active", row["distance"]]
    elif row["values"]:
        more = [f"{name} {number:.3g}" for name, number in row["values"].items() if number is not None][:6]
    return f"{row['metric']:<16}{value:>11}   {', '.join([*more, format(row['seconds'], '.1f') + ' s'])}"


def _data(context: EvaluationContext, needs: tuple[str, ...]) -> dict[str, Any]:
    """What the numbers were measured on; what the model was trained on where no image was needed."""
    if not {"factors", "images"} & set(needs):
        return context.data_provenance
    return context.data.provenance


@contextmanager
def _bar(context: EvaluationContext, label: str, quiet: bool) -> Iterator[None]:
    """A bar that follows ``context.progress``; one metric may go through several passes."""
    with tqdm(desc=label, unit="img", unit_scale=True, disable=quiet, leave=False, dynamic_ncols=True) as bar:

        def show(done: int, total: int) -> None:
            if bar.total != total or done < bar.n:
                bar.reset(total)
            bar.update(done - bar.n)

        context.progress = show
        try:
            yield
        finally:
            context.progress = lambda done, total: None
