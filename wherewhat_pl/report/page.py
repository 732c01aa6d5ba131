"""The HTML of a run's report: what ``page.html`` shows; a template that escapes whatever is put into it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from wherewhat_pl.evaluation.results import Row
from wherewhat_pl.report.made import Made

#: Metrics that are shown large, if they were measured.
TILES = {"fvm": "FactorVAE metric", "mig": "MIG", "dci": "DCI disentanglement", "sap": "SAP", "where": "mask lift"}


@dataclass(frozen=True)
class Contents:
    """Everything the page shows, as plain values.

    Attributes:
        title: experiment and name.
        facts: label and value.
        warnings: sentences.
        names: of the latents, by position.
        traversals: PNG of the newest traversal picture and the images seen when it was drawn.
        curves: PNG.
        latents: a dictionary per latent: ``latent``, ``tpl``, ``std``, ``active``, and where known ``lift``, ``area``.
        tpl: the row of TPL that these come from.
        matrix: ``factors``, the normalized mutual information as ``rows`` of numbers, one per latent, and the ``best``
            latent of each factor; or None.
        metrics: newest row of each metric, with ``about``, by name.
        settings: the run's ``config.yaml``.
        made: what commands have made of the run.
        folder: of the run, as a word of a command.
    """

    title: str
    facts: list[tuple[str, str]]
    warnings: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    traversals: tuple[bytes, int] | None = None
    curves: bytes | None = None
    latents: list[dict[str, Any]] = field(default_factory=list)
    tpl: Row | None = None
    matrix: dict[str, Any] | None = None
    metrics: dict[str, Row] = field(default_factory=dict)
    settings: str = ""
    made: Made = field(default_factory=Made)
    folder: str = ""


def page(contents: Contents) -> str:
    """The whole page; nothing in ``contents`` can open a tag or leave an attribute."""
    called = [f"{k} {name}" for k, name in enumerate(contents.names) if name != f"latent {k}"]
    return TEMPLATES.get_template("page.html").render(vars(contents), tiles=TILES.items(), called=called)


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _count(value: object) -> object:
    return f"{value:,}" if isinstance(value, int) else value


TEMPLATES = Environment(
    loader=PackageLoader("wherewhat_pl", "report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"number": _number, "percent": "{:.1%}".format, "count": _count}
TEMPLATES.filters["base64"] = lambda content: base64.b64encode(content).decode()
