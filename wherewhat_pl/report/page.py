"""The HTML of a run's report: one page, no script, nothing fetched; pictures are data URIs."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html import escape
from typing import Any

from wherewhat_pl.evaluation.results import Row

STYLE = """
:root { --ink: #1f2933; --quiet: #66727f; --line: #e4e7eb; --bar: #2563a6; --off: #b8c4d0; --paper: #fff; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7f9; color: var(--ink); }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 2px; letter-spacing: -0.01em; }
h2 { font-size: 17px; margin: 0 0 10px; }
p.note { color: var(--quiet); margin: 0 0 12px; font-size: 13.5px; max-width: 100ch; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 18px 20px; margin-top: 16px; }
.facts { color: var(--quiet); margin: 0 0 4px; } .facts b { color: var(--ink); font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 16px; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 23px; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile span { color: var(--quiet); font-size: 13px; }
.warnings { background: #fff8e6; border-color: #f2d58a; } .warnings ul { margin: 0; padding-left: 20px; }
.scroll { overflow-x: auto; } img { max-width: 100%; display: block; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: 13px; color: var(--quiet); }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; } .small { color: var(--quiet); font-size: 13px; }
.bar { background: #eef1f4; border-radius: 3px; height: 14px; min-width: 220px; position: relative; margin-top: 4px; }
.bar i { display: block; height: 100%; border-radius: 3px; background: var(--bar); }
.bar i.off { background: var(--off); }
.bar u { position: absolute; top: -3px; bottom: -3px; border-left: 2px dashed #b4531f; }
.matrix td { text-align: center; border: 2px solid var(--paper); padding: 7px 4px; min-width: 58px; }
.matrix th { border: 0; vertical-align: middle; } .matrix th.top { text-align: center; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 16px; }
pre { font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; overflow-x: auto; margin: 8px 0 0; }
summary { cursor: pointer; font-weight: 600; } footer { color: var(--quiet); font-size: 13px; margin-top: 18px; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
"""


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


def page(contents: Contents) -> str:
    """The whole page; every text that comes from elsewhere is escaped."""
    parts = [
        f"<h1>{escape(contents.title)}</h1>",
        '<p class="facts">' + " &middot; ".join(_fact(*fact) for fact in contents.facts) + "</p>",
        _tiles(contents),
        _warnings(contents.warnings),
        _traversals(contents),
        _lengths(contents),
        _matrix(contents),
        _curves(contents),
        _metrics(contents),
        f"<section><details><summary>All settings</summary><pre>{escape(contents.settings)}</pre></details></section>",
        "<footer>Written by wherewhat_pl from the run's own folder. Masks, lengths and image scores are those of the "
        "averaged generator, codes those of its recognizer.</footer>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(contents.title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def _fact(label: str, value: str) -> str:
    return f"{escape(label)} <b>{escape(value)}</b>"


def _tiles(contents: Contents) -> str:
    tiles = []
    if contents.tpl is not None:
        tpl = contents.tpl
        tiles.append((_number(tpl["value"]), f"TPL, sum over active latents ({tpl['distance']})"))
        tiles.append((f"{int(tpl['values']['num_active'])} of {len(contents.latents)}", "latents active"))
    shown = {"fvm": "FactorVAE metric", "mig": "MIG", "dci": "DCI disentanglement", "sap": "SAP", "where": "mask lift"}
    by_name = {row["metric"]: row for row in contents.metrics}
    tiles += [(_number(by_name[name]["value"]), label) for name, label in shown.items() if name in by_name]
    boxes = "".join(f'<div class="tile"><b>{value}</b><span>{escape(label)}</span></div>' for value, label in tiles)
    return f'<div class="tiles">{boxes}</div>' if tiles else ""


def _warnings(warnings: list[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<section class="warnings"><h2>Before comparing</h2><ul>{items}</ul></section>' if items else ""


def _traversals(contents: Contents) -> str:
    if contents.traversals is None:
        return ""
    picture, images_seen = contents.traversals
    return (
        f"<section><h2>Traversals and masks</h2><p class=note>Each row varies one latent and keeps the others, at "
        f"{images_seen:,} images; the latent that changes most comes first. On the right, where it is blended in.</p>"
        f'<div class="scroll">{_image(picture, "traversals of all latents with their masks")}</div></section>'
    )


def _lengths(contents: Contents) -> str:
    if contents.tpl is None:
        return ""
    used = contents.tpl["used"]
    longest = max([latent["tpl"] for latent in contents.latents] + [used["threshold"]]) * 1.02 or 1.0
    with_masks = any("lift" in latent for latent in contents.latents)
    rows = []
    for latent in contents.latents:
        masks = ""
        if with_masks:
            masks = "".join(f'<td class="number">{_number(latent.get(name), 2)}</td>' for name in ("area", "lift"))
        rows.append(
            f"<tr><td>latent {latent['latent']}</td><td><div class=bar>"
            f'<i{"" if latent["active"] else " class=off"} style="width:{latent["tpl"] / longest:.1%}"></i>'
            f'<u style="left:{used["threshold"] / longest:.1%}"></u></div></td>'
            f"<td class=number>{latent['tpl']:.3f}</td><td class='number small'>± {latent['std']:.3f}</td>{masks}</tr>"
        )
    heads = '<th class="number">mask area</th><th class="number">mask lift</th>' if with_masks else ""
    return (
        "<section><h2>How far each latent moves the image (TPL)</h2><p class=note>Summed perceptual distance "
        f"({escape(str(contents.tpl['distance']))}) from {used['low']:g} to {used['high']:g} in {used['points']} "
        f"points, mean over {used['base_codes']} base codes. Dashed: threshold {used['threshold']:g}; shorter latents "
        f"(grey) count as inactive. Mask lift: 1 if all change is inside the mask, 0 for an even spread.</p>"
        "<table><tr><th></th><th style='width:50%'></th><th class=number>TPL</th><th class=number>spread</th>"
        f"{heads}</tr>{''.join(rows)}</table></section>"
    )


def _matrix(contents: Contents) -> str:
    if contents.matrix is None:
        return ""
    details = contents.matrix["details"]
    matrix = details["normalized_mutual_information"]
    heads = "".join(f'<th class="top">{escape(name.replace("_", " "))}</th>' for name in details["factors"])
    best = [max(range(len(matrix)), key=lambda k: matrix[k][j] or 0.0) for j in range(len(details["factors"]))]
    rows = []
    for k, values in enumerate(matrix):
        cells = "".join(_cell(value or 0.0, best[j] == k) for j, value in enumerate(values))
        rows.append(f"<tr><th>latent {k}</th>{cells}</tr>")
    return (
        "<section><h2>Which latent knows which factor</h2><p class=note>Mutual information of the recognizer's code "
        "with the factor, divided by the factor's entropy: 1 if the code determines the factor. Bold: the best latent "
        "of each factor.</p><div class=scroll><table class=matrix>"
        f"<tr><th></th>{heads}</tr>{''.join(rows)}</table></div></section>"
    )


def _cell(value: float, best: bool) -> str:
    strength = min(1.0, max(0.0, value))
    ink = "#fff" if strength > 0.55 else "inherit"
    text = f"<b>{value:.2f}</b>" if best else f"{value:.2f}"
    return f'<td style="background:rgba(37,99,166,{0.04 + 0.96 * strength:.3f});color:{ink}">{text}</td>'


def _curves(contents: Contents) -> str:
    if contents.curves is None:
        return ""
    return f"<section><h2>Training</h2>{_image(contents.curves, 'loss curves over images seen')}</section>"


def _metrics(contents: Contents) -> str:
    if not contents.metrics:
        return ""
    rows = "".join(_metric_row(row) for row in contents.metrics)
    return (
        "<section><h2>Metrics</h2><table><tr><th>metric</th><th class=number>value</th><th>what it is, and which way "
        f"is better</th><th>measured on</th></tr>{rows}</table></section>"
    )


def _metric_row(row: dict[str, Any]) -> str:
    data = row.get("data") or {}
    settings = ", ".join(f"{key} {value:,}" for key, value in row["settings"].items())
    source = f"{data.get('name', '?')} ({data.get('source', '?')}, {str(data.get('fingerprint', '?'))[:8]})"
    measured = [source, row["distance"], settings, f"seed {row['seed']}", f"{row['images_seen']:,} images seen"]
    parts = {k: v for k, v in row["values"].items() if v is not None and abs(v - (row["value"] or 0)) > 1e-12}
    extra = "; ".join(f"{escape(name.replace('_', ' '))} {value:.3g}" for name, value in parts.items())
    about = escape(row["about"]) + (f"<br><span class=small>{extra}</span>" if extra else "")
    return (
        f"<tr><td><b>{escape(row['metric'])}</b></td><td class=number>{_number(row['value'])}</td><td>{about}</td>"
        f"<td class=small>{escape('; '.join(filter(None, measured)))}</td></tr>"
    )


def _number(value: float | None, digits: int = 3) -> str:
    return "&ndash;" if value is None else f"{value:.{digits}f}"


def _image(png: bytes, description: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{data}">'
