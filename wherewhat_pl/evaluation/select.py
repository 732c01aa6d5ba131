"""``select``: rank trained runs, and decoders of others, by TPL, with supervised scores beside it where they exist."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from wherewhat_pl.errors import ConfigError, suggestion, warn
from wherewhat_pl.evaluation.context import EvalSettings, EvaluationContext
from wherewhat_pl.evaluation.evaluate import evaluate
from wherewhat_pl.evaluation.measures import with_threshold
from wherewhat_pl.evaluation.ranking import Candidate, Correlation, correlations, place_of_first, rank
from wherewhat_pl.evaluation.registry import METRICS, tpl_metrics
from wherewhat_pl.evaluation.results import Row, read_results
from wherewhat_pl.evaluation.threshold import otsu_threshold
from wherewhat_pl.interop.onnx import OnnxModel
from wherewhat_pl.model import torch_device
from wherewhat_pl.pictures.plots import scatter_picture
from wherewhat_pl.run.files import csv_text, write_atomically
from wherewhat_pl.run.folder import RunDir, find_run
from wherewhat_pl.run.loading import load_run


def select(
    patterns: str,
    tpl: str = "tpl_small",
    out: str | None = None,
    active: int | None = None,
    device: str = "cpu",
    settings: EvalSettings | None = None,
    auto_threshold: bool = False,
    finished: bool = False,
) -> int:
    """Rank models, print the table, write ``table.csv``, ``correlations.csv`` and ``scatter.png``.

    Args:
        patterns: run folders, folders of runs or of ``.onnx`` decoders, or patterns of them; several with commas.
        tpl: which TPL; measured where it is missing.
        out: folder for the results; None: ``selection`` beside the models.
        active: number of active dimensions that is wanted; None: groups with more come first.
        device: for runs; decoders of others run on the CPU.
        settings: of the measurement.
        auto_threshold: find the threshold of an active dimension from the lengths of all (``threshold.py``).
        finished: leave out runs that have not come to their ``trainer.max_kimg``.

    Returns:
        0.

    Raises:
        ConfigError: no model there, an unknown TPL, or a decoder that is none.
    """
    if tpl not in tpl_metrics():
        raise ConfigError(f"tpl={tpl}: no such TPL{suggestion(tpl, tpl_metrics())}")
    paths = find_models(patterns)
    torch_device(device)
    chosen = settings or EvalSettings()
    rows: list[tuple[Candidate, list[Row]]] = []
    if finished:
        paths = [path for path in paths if _is_finished(path)]
        if not paths:
            raise ConfigError(f"runs={patterns}: none of these runs has been trained to its end")
    for path in tqdm(paths, desc=tpl, unit="model", dynamic_ncols=True):
        try:
            rows.append(_measured(path, tpl, device, chosen))
        except ConfigError as error:
            if "no finished checkpoint" not in str(error):
                raise
            warn(f"{error}; left out")
    if not rows:
        raise ConfigError(f"runs={patterns}: none of these runs has a finished checkpoint")
    if auto_threshold:
        threshold = otsu_threshold(length for _, (own, *_) in rows for length in own["details"]["mean"] if length)
        rows = [_read_with(threshold, *each) for each in rows]
    ranked = rank([candidate for candidate, _ in rows], active)
    found = correlations(ranked)
    for warning in comparability(rows):
        warn(warning)
    print(table(ranked, found, tpl, chosen.distance, active))
    said = "{:.4g}".format(rows[0][1][0]["used"]["threshold"]) + ", by Otsu's rule on all lengths" * auto_threshold
    print(f"\na dimension is active from a TPL of {said}")
    folder = Path(out) if out else Path(os.path.commonpath([path.parent for path in paths])) / "selection"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "table.csv", csv_table(ranked, tpl, chosen.distance).encode())
    write_atomically(folder / "correlations.csv", correlations_csv(ranked, found).encode())
    write_atomically(folder / "scatter.png", scatter_picture(ranked, f"{tpl} ({chosen.distance})"))
    print(f"\ntable    {folder / 'table.csv'}\nplot     {folder / 'scatter.png'}")
    return 0


def _is_finished(path: Path) -> bool:
    """Whether a run was trained to its end, as far as its files tell; a decoder of others was. Says why not."""
    if path.suffix == ".onnx":
        return True
    run = RunDir(path)
    try:
        seen, of = run.images_seen(), int(run.settings().trainer.max_kimg * 1000)
    except ConfigError as error:
        warn(f"{path}: {error}; left out")
        return False
    if seen < of:
        warn(f"{path}: {seen:,} of {of:,} images; left out")
    return seen >= of


def _read_with(threshold: float, candidate: Candidate, rows: list[Row]) -> tuple[Candidate, list[Row]]:
    rows = [with_threshold(rows[0], threshold), *rows[1:]]
    return _candidate(candidate.name, rows, candidate.images_seen, candidate.data), rows


def find_models(patterns: str) -> list[Path]:
    """Run folders and ``.onnx`` files that patterns mean, sorted, each once; raises :class:`ConfigError` for none."""
    models: list[Path] = []
    for pattern in filter(None, patterns.split(",")):
        matches = [Path(match) for match in glob.glob(pattern)]
        found = [model for match in matches for model in _models_at(match)]
        if not found and not glob.has_magic(pattern):
            if not Path(pattern).is_dir():
                find_run(pattern)  # says that there is none, and which is near
            raise ConfigError(f"runs={pattern}: holds no run (config.yaml) and no decoder (.onnx)")
        models += found
    if not models:
        raise ConfigError(f"runs={patterns}: no run and no decoder there")
    return sorted(set(models))


def _models_at(path: Path) -> list[Path]:
    if path.suffix == ".onnx" or (path / "config.yaml").is_file():
        return [path]
    return [file.parent for file in path.glob("*/config.yaml")] + list(path.glob("*.onnx"))


def _measured(path: Path, tpl: str, device: str, settings: EvalSettings) -> tuple[Candidate, list[Row]]:
    """A model's TPL, and the other rows that were measured on it; a decoder's are in ``NAME.eval.jsonl`` beside it."""
    if path.suffix == ".onnx":
        decoder, file, images_seen = OnnxModel(path), path.with_suffix(".eval.jsonl"), None
        data = f"decoder, values {decoder.image_range}"
        identity = {"decoder": decoder.fingerprint, "range": decoder.image_range}
        context = EvaluationContext(decoder, settings, identity=identity)
    else:
        loaded = load_run(path, device=device)
        file, images_seen = loaded.run.eval_file, loaded.images_seen
        context = EvaluationContext.of_run(loaded, settings)
        data = "{} ({})".format(*(context.data_provenance.get(key, "?") for key in ("name", "source")))
    row = evaluate(context, [tpl], file, quiet=True)[tpl]
    known = read_results(file, lambda sentence: warn(f"{path}: {sentence}"))
    rows = [row, *_others(known, context.images_seen)]
    return _candidate(path.name, rows, images_seen, data), rows


def _others(rows: list[Row], images_seen: int) -> list[Row]:
    """The newest row of every metric but TPL that was measured on this checkpoint."""
    newest = {row["metric"]: row for row in rows if row.get("images_seen", 0) == images_seen}
    return [row for name, row in newest.items() if name not in tpl_metrics()]


def _candidate(name: str, rows: list[Row], images_seen: int | None, data: str) -> Candidate:
    tpl, *others = rows
    return Candidate(
        name=name,
        num_latents=len(tpl["details"]["mean"]),
        num_active=int(tpl["values"]["num_active"]),
        total=float("nan") if tpl["value"] is None else tpl["value"],
        scores={row["metric"]: row["value"] for row in others if row.get("value") is not None},
        images_seen=images_seen,
        data=data,
    )


def comparability(rows: Sequence[tuple[Candidate, list[Row]]]) -> list[str]:
    """What makes the models' numbers not quite comparable, a sentence each."""
    warnings = []
    if not any(candidate.num_active for candidate, _ in rows):
        threshold = rows[0][1][0]["used"]["threshold"]  # all were read with the same
        longest = max(max(filter(None, scores[0]["details"]["mean"]), default=0.0) for _, scores in rows)
        warnings.append(
            f"no model has an active dimension, so there is nothing to rank: the longest TPL is {longest:.3f}, below "
            f"the threshold {threshold:g}; set threshold=... for small images or short trainings"
        )
    own = [candidate for candidate, _ in rows if candidate.images_seen is not None]
    if len({candidate.data for candidate in own}) > 1:
        warnings.append("the runs were trained on different data: " + ", ".join(sorted({c.data for c in own})))
    if len({candidate.images_seen for candidate in own}) > 1:
        low, high = (pick(c.images_seen or 0 for c in own) for pick in (min, max))
        warnings.append(f"the runs were trained for {low:,} to {high:,} images; TPL falls and rises with training")
    if len({candidate.num_latents for candidate, _ in rows}) > 1:
        warnings.append("the models have different numbers of latents")
    measured: dict[str, set[str]] = {}
    for _, scores in rows:
        for row in scores[1:]:
            measured.setdefault(row["metric"], set()).add(str((row.get("settings"), row.get("seed"))))
    warnings += [f"{name} was measured with different settings" for name, ways in measured.items() if len(ways) > 1]
    return warnings


def table(
    ranked: Sequence[Candidate],
    found: dict[str, dict[str, Correlation]],
    tpl: str,
    distance: str,
    active: int | None = None,
) -> str:
    """The ranking and the correlations as aligned text."""
    metrics = sorted({name for candidate in ranked for name in candidate.scores})
    width = max(len(candidate.name) for candidate in ranked)
    head = f"{'rank':>4}  {'model':<{width}}  {'active':>7}  {'TPL':>8}" + "".join(f"  {m:>12}" for m in metrics)
    lines = [f"{tpl} by {distance}; lower is simpler, among equal numbers of active dimensions", "", head]
    group: int | None = None
    for position, candidate in enumerate(ranked, start=1):
        if group is not None and candidate.num_active != group:
            lines.append(f"{'':>4}  {'-' * (len(head) - 6)}")
        group = candidate.num_active
        scores = "".join(
            f"  {candidate.scores[m]:>12.3f}" if m in candidate.scores else f"  {'-':>12}" for m in metrics
        )
        # A collapsed model has a place in the list but no rank.
        collapsed = "" if candidate.num_active else "   collapsed"
        lines.append(
            f"{position if candidate.num_active else '-':>4}  {candidate.name:<{width}}  "
            f"{candidate.num_active:>3}/{candidate.num_latents:<3}  {candidate.total:>8.3f}{scores}{collapsed}"
        )
    order = "with more active dimensions first" if active is None else f"nearest to {active} active dimensions first"
    lines += ["", f"groups come {order}; models without any are not ranked"]
    if any(correlation.count >= 4 for groups in found.values() for correlation in groups.values()):
        lines += ["", "Spearman correlation of TPL with each score, 95 % interval (TPL is good when low):"]
        lines += [
            f"  {metric:<14}{label:>10}  {correlation}"
            for metric, groups in found.items()
            for label, correlation in groups.items()
            if correlation.count >= 4  # three models can only agree, disagree, or nearly so
        ]
        places = {metric: _place(ranked, metric) for metric in found}
        said = ", ".join(
            f"{place[0]} of {place[1]} by {metric}" if place else f"- by {metric}" for metric, place in places.items()
        )
        lines += [f"place of the model that TPL puts first: {said}"] if any(places.values()) else []
    return "\n".join(lines)


def csv_table(ranked: Sequence[Candidate], tpl: str, distance: str) -> str:
    """The ranking as CSV, a row per model."""
    metrics = sorted({name for candidate in ranked for name in candidate.scores})
    head = ["rank", "model", "active", "latents", tpl, "distance", "images_seen", "data", *metrics]
    rows: list[list[object]] = []
    for position, c in enumerate(ranked, start=1):
        place = position if c.num_active else None
        row = [place, c.name, c.num_active, c.num_latents, c.total, distance, c.images_seen, c.data]
        rows.append([*row, *map(c.scores.get, metrics)])
    return csv_text(head, rows)


def correlations_csv(ranked: Sequence[Candidate], found: dict[str, dict[str, Correlation]]) -> str:
    """The correlations as CSV, a row per score and group; and the place that the first model has by the score."""
    rows: list[list[object]] = []
    for metric, groups in found.items():
        for label, c in groups.items():
            numbers = ["" if math.isnan(number) else f"{number:.3f}" for number in (c.value, c.low, c.high)]
            place = _place(ranked, metric) if label == "all" else None
            rows.append([metric, label, c.count, *numbers, place and place[0]])
    return csv_text(["score", "group", "models", "Spearman", "low", "high", "place of the first"], rows)


def _place(ranked: Sequence[Candidate], metric: str) -> tuple[int, int] | None:
    better = METRICS[metric].better if metric in METRICS else None
    return place_of_first(ranked, metric, better) if better else None
