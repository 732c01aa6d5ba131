"""A model's card: what it is, what it was trained on and how, what was measured, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherewhat_pl.model import Model
from wherewhat_pl.run.files import flatten

HEAD = """---
library_name: wherewhat_pl
tags: [disentanglement, gan, unsupervised]
---
"""


def card(model: Model, name: str, files: str, picture: str | None = None) -> str:
    """The card's text.

    Args:
        model: with what it says ``about`` itself.
        name: the card's title.
        files: what ``wherewhat_pl.load`` is given, e.g. ``shapes3d.safetensors``.
        picture: a file beside the card; None: no picture.
    """
    about = model.about
    parts = [HEAD + f"# {name}", _summary(model, about)]
    if picture:
        parts.append(f"![Each row moves one latent; beside it, the mask under which it acts]({picture})")
    parts.append(
        "```python\nimport wherewhat_pl\n\n"
        f'model = wherewhat_pl.load("{files}")\n'
        "images, masks = model.generate(model.sample(16, seed=0), return_masks=True)\n```"
    )
    parts += ["## Data", _data(about), "## Results", _results(about), "## Latents", _latents(model)]
    if settings := flatten(_dict(about.get("settings"))):
        parts += ["## Settings", _table(("setting", "value"), settings.items())]
    if versions := about.get("versions"):
        parts += ["## Made with", ", ".join(f"{key} {value}" for key, value in _dict(versions).items())]
    return "\n\n".join(parts) + "\n"


def _summary(model: Model, about: Mapping[str, Any]) -> str:
    masks = len(model.masked_latents)
    recognizer = "with a recognizer (images to codes)" if model.has_recognizer else "without a recognizer"
    kind = "RGB" if model.channels == 3 else "grey"
    text = (
        f"A generator of {model.resolution} x {model.resolution} {kind} images from {model.num_latents} latents "
        f"({model.prior} prior), {masks} of them under masks; {recognizer}."
    )
    if "imported" in about:
        text += f" Imported from the published checkpoint `{about['imported']}`, which does not say how it was trained."
    elif "images_seen" in about:
        text += (
            f" Experiment `{about.get('experiment')}`, run `{about.get('run')}`, after {about['images_seen']:,} images."
        )
    return text


def _data(about: Mapping[str, Any]) -> str:
    if not (data := _dict(about.get("data"))):
        return "Not known."
    return f"{data.get('name')}, source: {data.get('source')}, fingerprint `{data.get('fingerprint')}`."


def _results(about: Mapping[str, Any]) -> str:
    rows = [row for row in about.get("metrics") or [] if isinstance(row, dict)]
    if not rows:
        return "Nothing was measured."
    cells = [
        (
            row.get("metric"),
            "undefined" if row.get("value") is None else f"{row['value']:.4g}",
            row.get("distance") or "",
            f"{row.get('images_seen', 0):,}",
            " ".join(str(_dict(row.get("data")).get(key, "")) for key in ("name", "source")).strip(),
            ", ".join(f"{key} {value}" for key, value in _dict(row.get("settings")).items()),
        )
        for row in rows
    ]
    return _table(("metric", "value", "distance", "after images", "data", "settings"), cells)


def _latents(model: Model) -> str:
    rows = [
        (k, latent.name, " to ".join(f"{end:g}" for end in ends), "yes" if k in model.masked_latents else "no")
        for k, latent in enumerate(model.latents)
        for ends in [(latent.low, latent.high)[:: latent.sign]]
    ]
    return _table(("position", "name", "shown from", "mask"), rows)


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
