"""``report``: one self-contained ``report.html`` per run, from what its folder holds; it fetches nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.context import EvalSettings
from wherewhat_pl.evaluation.evaluate import METRICS, TPL_METRICS, check_metrics, evaluate, results_file
from wherewhat_pl.evaluation.measures import with_threshold
from wherewhat_pl.evaluation.results import Row, newest_per_metric, read_results
from wherewhat_pl.pictures.plots import curves_picture
from wherewhat_pl.report.page import page
from wherewhat_pl.run.files import write_atomically
from wherewhat_pl.run.loading import LoadedRun

SHORT_TRAINING = 1_000_000  #: images; the published models saw up to 25 million
CURVES = (
    ("adversarial losses", {"loss/generator_adversarial": "G", "loss/discriminator_adversarial": "D"}),
    ("recognition loss", {"loss/ps": "PS", "loss/infogan": "InfoGAN"}),
    ("R1 (squared gradient)", {"loss/r1": "R1"}),
)


@dataclass(frozen=True)
class Contents:
    """Everything the page shows, as plain values.

    Attributes:
        title: experiment and name.
        facts: label and value, the first ones shown large.
        warnings: sentences.
        traversals: PNG of the newest traversal picture and the images seen when it was drawn.
        curves: PNG.
        latents: a dictionary per latent: ``latent``, ``tpl``, ``std``, ``active``, and where known ``lift``, ``area``.
        tpl: the row of TPL that these come from.
        matrix: row of MIG with its normalized mutual information, or None.
        metrics: newest row of each metric, with ``about``.
        settings: the run's ``config.yaml``.
    """

    title: str
    facts: list[tuple[str, str]]
    warnings: list[str] = field(default_factory=list)
    traversals: tuple[bytes, int] | None = None
    curves: bytes | None = None
    latents: list[dict[str, Any]] = field(default_factory=list)
    tpl: Row | None = None
    matrix: Row | None = None
    metrics: list[Row] = field(default_factory=list)
    settings: str = ""


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
        evaluate(loaded, [name for name in ("tpl_small", "where", "mig") if _possible(name, loaded)], settings)
    file = loaded.run.path / "report.html"
    write_atomically(file, page(collect(loaded, settings.threshold if settings else None)).encode())
    return file


def _possible(name: str, loaded: LoadedRun) -> bool:
    try:
        check_metrics([name], loaded)
    except ConfigError:
        return False
    return True


def collect(loaded: LoadedRun, threshold: float | None = None) -> Contents:
    """What the folder of a run has to show; ``threshold`` reads TPL with another one than it was measured with."""
    run, config = loaded.run, loaded.config
    newest = newest_per_metric(read_results(results_file(run)))
    if threshold is not None:
        newest = {k: with_threshold(row, threshold) if k in TPL_METRICS else row for k, row in newest.items()}
    tpl = next((newest[name] for name in reversed(TPL_METRICS) if name in newest), None)
    noted = loaded.data_noted()
    facts = [
        ("images seen", f"{loaded.images_seen:,}"),
        ("data", f"{noted.get('name', config.data.name)} ({noted.get('source', '?')}), {config.data.resolution} px"),
        ("latents", str(loaded.num_latents)),
        ("loss", config.model.loss + {"ps": f", weight {config.model.ps.weight:g}"}.get(config.model.loss, "")),
        ("masks", config.model.mask),
        ("batch", str(config.trainer.batch_size)),
        ("seed", str(config.seed)),
    ]
    return Contents(
        title=f"{config.experiment} / {run.path.name}",
        facts=facts,
        warnings=warnings_about(loaded, list(newest.values()), tpl),
        traversals=_newest_picture(run.pictures),
        curves=curves_picture(_rows(run.metrics_file), CURVES),
        latents=_latents(tpl, newest.get("where")),
        tpl=tpl,
        matrix=newest.get("mig"),
        metrics=[newest[name] | {"about": metric.about} for name, metric in METRICS.items() if name in newest],
        settings=_settings_text(run.config_file),
    )


def warnings_about(loaded: LoadedRun, rows: Sequence[Row], tpl: Row | None) -> list[str]:
    """What a reader must know before comparing these numbers with anybody's, a sentence each."""
    said = []
    noted = loaded.data_noted()
    if noted.get("source") in ("rendered", "generated"):
        said.append(
            f"The images of {noted['name']} are {noted['source']} here, not the published files: "
            "scores do not compare with published ones."
        )
    distances = sorted({row["distance"] for row in rows if row["distance"] not in (None, "lpips_vgg")})
    said += [
        f"TPL is measured with the distance {name}; the paper's is LPIPS with VGG16 (lpips_vgg). "
        "Lengths by different distances do not compare."
        for name in distances
    ]
    if loaded.images_seen < SHORT_TRAINING:
        said.append(f"The training is short: {loaded.images_seen:,} images; the published models saw up to 25,000,000.")
    if loaded.images_seen < loaded.config.trainer.max_kimg * 1000:
        said.append(f"The training is not complete: its end is set to {loaded.config.trainer.max_kimg:g} kimg.")
    if tpl is not None and not tpl["values"]["num_active"]:
        said.append(
            f"No latent reaches the threshold {tpl['used']['threshold']:g} of TPL: by this measure the generator has "
            "collapsed. For small images or short trainings a lower threshold may be apt (threshold=...)."
        )
    default = EvalSettings()
    fewer = [
        row["metric"]
        for row in rows
        if any(value < getattr(default, key, value) for key, value in row["settings"].items())
    ]
    if fewer:
        said.append(f"Measured on fewer samples than usual: {', '.join(fewer)}.")
    older = [row["metric"] for row in rows if row["images_seen"] != loaded.images_seen]
    if older:
        said.append(f"Measured on another checkpoint than the newest: {', '.join(older)}.")
    return said + [f"{row['metric']}: {text}" for row in rows for text in row.get("warnings", [])]


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
            if latent < len(latents):
                latents[latent] |= {name: where["details"][name][position] for name in ("lift", "area")}
    return sorted(latents, key=lambda latent: -latent["tpl"])


def _newest_picture(folder: Path) -> tuple[bytes, int] | None:
    pictures = sorted(folder.glob("images-*.png"))
    if not pictures:
        return None
    return pictures[-1].read_bytes(), int(pictures[-1].stem.partition("-")[2])


def _rows(file: Path) -> list[dict[str, Any]]:
    rows = []
    for line in file.read_text().splitlines() if file.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the last line, cut short by a kill
            continue
    return [row for row in rows if "images_seen" in row]


def _settings_text(file: Path) -> str:
    """The settings without what was noted beside them on machines and paths."""
    settings = yaml.safe_load(file.read_text())
    noted = settings.pop("provenance", None) or {}
    settings["versions"] = noted.get("versions")
    settings["data_used"] = noted.get("data")
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
