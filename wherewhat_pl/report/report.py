"""``report``: one self-contained ``report.html`` per run, from what its folder holds; it fetches nothing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from wherewhat_pl.evaluation.context import EvalSettings, EvaluationContext
from wherewhat_pl.evaluation.evaluate import evaluate
from wherewhat_pl.evaluation.measures import with_threshold
from wherewhat_pl.evaluation.registry import METRICS, tpl_metrics
from wherewhat_pl.evaluation.results import Row, fits, newest_per_metric, read_results
from wherewhat_pl.pictures.plots import curves_picture
from wherewhat_pl.report.made import made_of
from wherewhat_pl.report.page import Contents, page
from wherewhat_pl.run.files import read_rows, write_atomically
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.run.loading import LoadedRun

SHORT_TRAINING = 1_000_000  #: images; the published models saw up to 25 million
CURVES = (
    ("adversarial losses", {"loss/generator_adversarial": "G", "loss/discriminator_adversarial": "D"}),
    ("recognition loss", {"loss/ps": "PS", "loss/infogan": "InfoGAN"}),
    ("isometry loss", {"loss/isometry": "isometry"}),
    ("R1 (squared gradient)", {"loss/r1": "R1"}),
)


def write_report(loaded: LoadedRun, compute: bool = True, settings: EvalSettings | None = None) -> Path:
    """Write ``report.html`` into the run's folder.

    Args:
        loaded: the run.
        compute: measure what the page needs and nobody has measured yet: small TPL, masks, and the matrix of mutual
            information where factors are known.
        settings: of these measurements.

    Returns:
        The file.
    """
    if compute:
        context = EvaluationContext.of_run(loaded, settings)
        wanted = [name for name in ("tpl_small", "where", "mig") if not METRICS[name].lacking(context)]
        evaluate(context, wanted, loaded.run.eval_file)
    file = loaded.run.path / "report.html"
    html = page(collect(loaded, settings.threshold if settings else None))
    write_atomically(file, html.encode(errors="replace"))  # JSON can hold half a character, which UTF-8 cannot
    return file


def collect(loaded: LoadedRun, threshold: float | None = None) -> Contents:
    """What the folder of a run has to show; ``threshold`` reads TPL with another one than it was measured with."""
    run, config = loaded.run, loaded.config
    unread: list[str] = []
    found = newest_per_metric(read_results(run.eval_file, unread.append))
    unread += [f"{run.eval_file.name}: {name} is no metric that is known here" for name in found if name not in METRICS]
    newest = {name: row for name, row in found.items() if name in METRICS}
    if threshold is not None:
        newest = {k: with_threshold(row, threshold) if k in tpl_metrics() else row for k, row in newest.items()}
    tpl = next((newest[name] for name in reversed(tpl_metrics()) if name in newest), None)
    data = run.data_provenance()
    facts = [
        ("images seen", f"{loaded.images_seen:,}"),
        ("data", f"{data.get('name', config.data.name)} ({data.get('source', '?')}), {config.data.resolution} px"),
        ("latents", str(loaded.model.num_latents)),
        ("loss", config.model.loss + {"ps": f", weight {config.model.ps.weight:g}"}.get(config.model.loss, "")),
        ("masks", config.model.mask),
        ("batch", str(config.trainer.batch_size)),
        ("seed", str(config.seed)),
    ]
    if "imported" in loaded.model.about:  # what our settings say of its training is not its own
        facts = [(key, value) for key, value in facts if key not in ("loss", "batch", "seed")]
    made = made_of(run, loaded.model.num_latents, unread.append)
    return Contents(
        title=f"{config.experiment} / {run.path.name}",
        facts=facts,
        warnings=warnings_about(loaded, list(newest.values()), tpl) + list(dict.fromkeys(unread)),
        names=loaded.model.names,
        traversals=_newest_picture(run.pictures),
        curves=curves_picture(_numbers(run.metrics_file), CURVES),
        latents=_latents(tpl, newest.get("where")),
        tpl=tpl,
        matrix=_matrix(newest["mig"]["details"]) if "mig" in newest else None,
        metrics={name: newest[name] | {"about": metric.about} for name, metric in METRICS.items() if name in newest},
        settings=_settings_text(run),
        made=made,
        folder=shlex.quote(_from_here(run.path)),
    )


def warnings_about(loaded: LoadedRun, rows: Sequence[Row], tpl: Row | None) -> list[str]:
    """What a reader must know before comparing these numbers with anybody's, a sentence each."""
    warnings = []
    data = loaded.run.data_provenance()
    if data.get("source") in ("rendered", "generated"):
        warnings.append(
            f"The images of {data.get('name', '?')} are {data['source']} here, not the published files: "
            "scores do not compare with published ones."
        )
    distances = sorted({row["distance"] for row in rows if row["distance"] not in (None, "lpips_vgg")})
    warnings += [
        f"TPL is measured with the distance {name}; the paper's is LPIPS with VGG16 (lpips_vgg). "
        "Lengths by different distances do not compare."
        for name in distances
    ]
    if "imported" in loaded.model.about:
        warnings.append(f"Imported from {loaded.model.about['imported']}, which does not say how it was trained.")
    elif loaded.images_seen < SHORT_TRAINING:
        warnings.append(
            f"The training is short: {loaded.images_seen:,} images; the published models saw up to 25,000,000."
        )
    if loaded.images_seen < loaded.config.trainer.max_kimg * 1000:
        warnings.append(f"The training is not complete: its end is set to {loaded.config.trainer.max_kimg:g} kimg.")
    if tpl is not None and not tpl["values"]["num_active"]:
        warnings.append(
            f"No latent reaches the threshold {tpl['used']['threshold']:g} of TPL: by this measure the generator has "
            "collapsed. For small images or short trainings a lower threshold may be apt (threshold=...)."
        )
    if fewer := [row["metric"] for row in rows if _on_fewer_samples(row)]:
        warnings.append(f"Measured on fewer samples than usual: {', '.join(fewer)}.")
    if older := [row["metric"] for row in rows if row["images_seen"] != loaded.images_seen]:
        warnings.append(f"Measured on another checkpoint than the newest: {', '.join(older)}.")
    return warnings + [f"{row['metric']}: {text}" for row in rows for text in row["warnings"]]


def _on_fewer_samples(row: Row) -> bool:
    usual, used = EvalSettings(), row["settings"]
    counts = [name for name in METRICS[row["metric"]].settings if fits(used.get(name), int)]
    return any(used[name] < getattr(usual, name) for name in counts)


def _latents(tpl: Row | None, where: Row | None) -> list[dict[str, Any]]:
    """One dictionary per latent, the longest first."""
    if tpl is None:
        return []
    details = tpl["details"]
    latents = [
        {"latent": k, "tpl": mean or 0.0, "std": std or 0.0, "active": active}
        for k, (mean, std, active) in enumerate(zip(details["mean"], details["std"], details["active"], strict=True))
    ]
    if where is not None:
        for position, latent in enumerate(where["details"]["latents"]):
            if 0 <= latent < len(latents):
                latents[latent] |= {name: where["details"][name][position] for name in ("lift", "area")}
    return sorted(latents, key=lambda latent: -latent["tpl"])


def _matrix(details: dict[str, Any]) -> dict[str, Any]:
    """Which latent knows which factor; what is undefined (a factor without entropy) counts as 0."""
    rows = [[value or 0.0 for value in row] for row in details["normalized_mutual_information"]]
    best = [column.index(max(column)) for column in zip(*rows, strict=True)]
    return {"factors": details["factors"], "rows": rows, "best": best}


def _numbers(file: Path) -> list[Row]:
    """The rows of ``metrics.jsonl`` that say at how many images they were written, without what is no number."""
    rows = [{name: value for name, value in row.items() if fits(value, float)} for row in read_rows(file)]
    return [row for row in rows if "images_seen" in row]


def _newest_picture(folder: Path) -> tuple[bytes, int] | None:
    pictures = [path for path in folder.glob("images-*.png") if path.stem.removeprefix("images-").isdecimal()]
    if not pictures:
        return None
    return max(pictures).read_bytes(), int(max(pictures).stem.removeprefix("images-"))


def _from_here(path: Path) -> str:
    """A path as one would type it, from the working directory on if it is inside."""
    here = Path.cwd()
    return str(path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path)


def _settings_text(run: RunDir) -> str:
    """The settings without what was noted beside them on machines and paths."""
    settings = yaml.safe_load(run.config_file.read_text())
    settings.pop("provenance", None)
    settings |= {"versions": run.provenance().get("versions"), "data_used": run.provenance().get("data")}
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
