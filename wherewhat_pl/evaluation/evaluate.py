"""``eval``: measure a run by metrics' names; each result is a line of the run's ``eval.jsonl``, measured once."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.evaluation import inception, measures
from wherewhat_pl.evaluation.context import EvalSettings, Measuring, Outcome
from wherewhat_pl.evaluation.measures import tpl_settings, with_threshold
from wherewhat_pl.evaluation.results import Row, append_result, find_result, plain, read_results
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.run.loading import LoadedRun


@dataclass(frozen=True)
class Metric:
    """A metric that ``eval`` knows.

    Attributes:
        measure: what gives its outcome.
        about: a few words for tables, with the direction that is better.
        settings: names of the :class:`EvalSettings` it depends on, beside the seed.
        needs: what a run must have: ``factors``, ``attributes``, ``recognizer``, ``masks``, ``images``, ``inception``.
        split: whether several processes share the work; otherwise the first one does it.
    """

    measure: Callable[[Measuring], Outcome]
    about: str
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    split: bool = False


_CODES = ("recognizer", "factors")
_HALVES = ("train", "test")

METRICS: dict[str, Metric] = {
    "tpl_small": Metric(measures.tpl("small"), "traversal perceptual length, low", split=True),
    "tpl_large": Metric(measures.tpl("large"), "traversal perceptual length, low", split=True),
    "tpl_huge": Metric(measures.tpl("huge"), "traversal perceptual length, low", split=True),
    "fvm": Metric(measures.fvm(), "FactorVAE metric (Locatello's settings), high", _HALVES, _CODES),
    "fvm_paper": Metric(
        measures.fvm(**measures.functional.FACTOR_VAE_PRESETS["paper"]),
        "FactorVAE metric (PS-SC's settings), high",
        _HALVES,
        _CODES,
    ),
    "beta_vae": Metric(measures.beta_vae, "beta-VAE metric, high", _HALVES, _CODES),
    "mig": Metric(measures.mig, "mutual information gap, high", ("train",), _CODES),
    "sap": Metric(measures.sap, "separated attribute predictability, high", _HALVES, _CODES),
    "dci": Metric(measures.dci, "DCI disentanglement, high", _HALVES, _CODES),
    "modularity": Metric(measures.modularity, "modularity, high", ("train",), _CODES),
    "explicitness": Metric(measures.explicitness, "explicitness, high", _HALVES, _CODES),
    "irs": Metric(measures.irs, "interventional robustness, high", ("train",), _CODES),
    "separability": Metric(
        measures.separability,
        "linear separability of attributes, low",
        ("train",),
        ("recognizer", "attributes", "images"),
    ),
    "where": Metric(measures.where, "lift of mask faithfulness, high", ("samples",), ("masks",)),
    "fd_vgg": Metric(measures.fd_vgg, "Frechet distance on VGG features (not FID), low", ("images",), ("images",)),
    "kd_vgg": Metric(measures.kd_vgg, "kernel distance on VGG features (not KID), low", ("images",), ("images",)),
    "pr_vgg": Metric(measures.pr_vgg, "precision and recall on VGG features, high", ("images",), ("images",)),
    "fid": Metric(inception.fid, "FID, low", ("images",), ("inception", "images")),
    "kid": Metric(inception.kid, "KID, low", ("images",), ("inception", "images")),
    "inception_score": Metric(inception.inception_score, "inception score, high", ("images",), ("inception",)),
    "pr_inception": Metric(
        inception.pr_inception,
        "precision and recall on Inception features, high",
        ("images",),
        ("inception", "images"),
    ),
    "ppl": Metric(inception.ppl, "perceptual path length (LPIPS-VGG), low", ("images",), ("inception",)),
}

TPL_METRICS = tuple(name for name in METRICS if name.startswith("tpl_"))  #: the shortest measurement first


def check_metrics(names: Sequence[str], loaded: LoadedRun, key: str = "metrics") -> None:
    """Whether a run can be measured by these; reads no image.

    Raises:
        ConfigError: an unknown name, or something that the run, its data or this environment does not have.
    """
    for name in names:
        if name not in METRICS:
            raise ConfigError(f"{key}={name}: no such metric{suggestion(name, list(METRICS))}")
        if lacking := _lacking(METRICS[name], loaded):
            raise ConfigError(f"{key}={name}: {lacking}")


def default_metrics(loaded: LoadedRun) -> list[str]:
    """What a run is measured by if nothing else is asked: TPL, and the factors and masks that it has."""
    wanted = ("tpl_small", "where", "fvm", "mig", "sap", "dci", "modularity", "explicitness", "irs")
    return [name for name in wanted if not _lacking(METRICS[name], loaded)]


def results_file(run: RunDir) -> Path:
    """Where a run's results are."""
    return run.path / "eval.jsonl"


def evaluate(
    loaded: LoadedRun,
    names: Sequence[str],
    settings: EvalSettings | None = None,
    force: bool = False,
    quiet: bool = False,
) -> dict[str, Row]:
    """Measure a run and append each result to its ``eval.jsonl`` as soon as it is there.

    A metric that was measured before, on the same checkpoint and with the same settings, is not measured again.

    Args:
        loaded: the run.
        names: of the metrics.
        settings: how to measure.
        force: measure again.
        quiet: no bars and no lines on standard output.

    Returns:
        The row of each metric, new or found.

    Raises:
        ConfigError: as :func:`check_metrics`; nothing has been measured then.
    """
    check_metrics(names, loaded)
    measuring = Measuring(loaded, settings or EvalSettings())
    rows: dict[str, Row] = {}
    known = [] if force else read_results(results_file(loaded.run))
    for number, name in enumerate(dict.fromkeys(names), start=1):
        row = find_result(known, identity(name, measuring))
        before = row is not None
        if row is None:
            with _bar(measuring, f"{name} ({number}/{len(names)})", quiet):
                row = measure(name, measuring)
            record_result(loaded.run, row)
        if name.startswith("tpl_"):
            row = with_threshold(row, tpl_settings(name.removeprefix("tpl_"), measuring.settings).threshold)
        rows[name] = row
        if not quiet:
            print(result_line(row) + ("   measured before" if before else ""), flush=True)
            for warning in [] if before else row["warnings"]:
                print(f"warning: {warning}", file=sys.stderr)
    return rows


def record_result(run: RunDir, row: Row) -> None:
    """Append a row to a run's results."""
    append_result(results_file(run), row)


def identity(name: str, measuring: Measuring) -> Row:
    """What tells one measurement from another; known before it is made."""
    settings, metric = measuring.settings, METRICS[name]
    return {
        "metric": name,
        "images_seen": measuring.loaded.images_seen,
        "seed": settings.seed,
        "distance": settings.distance if name.startswith("tpl") else None,
        "settings": {key: getattr(settings, key) for key in metric.settings},
    }


def measure(name: str, measuring: Measuring) -> Row:
    """Measure one metric, without writing it down; on all processes together if the metric is ``split``."""
    loaded, metric, started = measuring.loaded, METRICS[name], time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", measures.functional.MetricWarning)
        outcome = metric.measure(measuring)
    # Our own warnings; what libraries say about their fits (convergence, deprecation) is not for this run's readers.
    said = [str(w.message) for w in caught if w.category in (UserWarning, measures.functional.MetricWarning)]
    row = identity(name, measuring) | {
        "value": outcome.value,
        "values": outcome.values,
        "details": outcome.details,
        "used": outcome.settings,
        "data": _data(loaded, metric),
        "warnings": list(dict.fromkeys(said)),
        "seconds": round(time.monotonic() - started, 2),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    result: Row = plain(row)
    return result


def result_line(row: Row) -> str:
    """One row for a terminal: name, value, what else matters, seconds."""
    value = "undefined" if row["value"] is None else f"{row['value']:.4f}"
    more = []
    if row["metric"].startswith("tpl"):
        active, n = int(row["values"]["num_active"]), len(row["details"]["mean"])
        more = [f"{active} of {n} latents active", row["distance"]]
    elif row["values"]:
        more = [f"{name} {number:.3g}" for name, number in row["values"].items() if number is not None][:6]
    return f"{row['metric']:<16}{value:>11}   {', '.join([*more, format(row['seconds'], '.1f') + ' s'])}"


def _lacking(metric: Metric, loaded: LoadedRun) -> str:
    """What a metric needs and the run has not, as the end of a sentence."""
    if "factors" in metric.needs and loaded.data.factor_space is None:
        return f"needs known factors, and {loaded.data.name} has none; tpl_small, where and fd_vgg need none"
    if "recognizer" in metric.needs and loaded.system.encoder is None:
        return "needs a recognizer, and model.loss=gan trains none; tpl_small, where and fd_vgg need none"
    if "attributes" in metric.needs and loaded.data.factor_space is not None:
        return f"needs attributes, as CelebA has, and {loaded.data.name} has factors: mig, dci, explicitness use them"
    if "masks" in metric.needs and not loaded.has_masks:
        return "needs masks, and model.mask=none has none"
    if "inception" in metric.needs and (missing := inception.missing_libraries()):
        return (
            f"needs the optional extra [fid] (missing: {', '.join(missing)}); run 'pip install \"wherewhat-pl[fid]\"', "
            f"or use fd_vgg, kd_vgg, pr_vgg"
        )
    return ""


def _data(loaded: LoadedRun, metric: Metric) -> dict[str, Any]:
    """What the numbers were measured on; what the run was trained on where no image was needed."""
    if not {"factors", "images"} & set(metric.needs):
        return loaded.data_noted()
    data = loaded.ready_data()
    return {"name": data.name, "source": data.source, "fingerprint": data.fingerprint}


@contextmanager
def _bar(measuring: Measuring, label: str, quiet: bool) -> Iterator[None]:
    """A bar that follows ``measuring.progress``; one metric may go through several passes."""
    bar = tqdm(desc=label, unit="img", unit_scale=True, disable=quiet, leave=False, dynamic_ncols=True)

    def show(done: int, total: int) -> None:
        if bar.total != total or done < bar.n:
            bar.reset(total)
        bar.update(done - bar.n)

    measuring.progress = show
    try:
        yield
    finally:
        measuring.progress = lambda done, total: None
        bar.close()
