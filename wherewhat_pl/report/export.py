"""A trained model as one file for other programs, its card and a traversal picture beside it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from wherewhat_pl.analysis.outputs import make_room
from wherewhat_pl.analysis.traverse import traverse
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.results import newest_per_metric, read_results
from wherewhat_pl.interop.card import card
from wherewhat_pl.interop.load import PRETRAINED, is_file, load
from wherewhat_pl.model import Model
from wherewhat_pl.pictures.traversal import traversal_picture
from wherewhat_pl.plugins import load_plugins
from wherewhat_pl.run.files import replacing, write_atomically
from wherewhat_pl.run.folder import RunDir

#: format -> how its files end, and what writes them by ``save(model, path)``; some need optional libraries
WRITERS = {
    "safetensors": (".safetensors", "wherewhat_pl.interop.safetensors"),
    "torch": (".pt", "wherewhat_pl.interop.torch_file"),
    "onnx": (".onnx", "wherewhat_pl.interop.onnx_export"),
}
KEPT = ("metric", "value", "values", "distance", "settings", "seed", "images_seen", "data")  #: of a row of results


def export(
    path: str,
    format: str,
    out: str | None = None,
    checkpoint: str | None = None,
    plugins: Sequence[str] = (),
    force: bool = False,
) -> list[Path]:
    """Write a model's file, card (its name with ``.md``) and picture (``.png``), and print where.

    Args:
        path: of a run's folder, or of a model's file.
        format: one of :data:`WRITERS`.
        out: the file; None: in the run's ``exports``, or beside ``path``.
        checkpoint: of a run; None: the newest.
        plugins: modules that define the model's masks.
        force: write over files that are there.

    Returns:
        The three files.

    Raises:
        ConfigError: no such model, a file is there, or a library is missing.
        ModelError: the model is a decoder of others.
    """
    load_plugins(plugins)
    ending, writer = WRITERS[format]
    if out is not None and Path(out).suffix != ending:
        raise ConfigError(f"out={out}: must end in {ending}, for format={format}")
    model = load(path, checkpoint)
    file = Path(out) if out is not None else _default_file(path, model, ending)
    files = [file, *(file.with_name(file.name + ending) for ending in (".md", ".png"))]
    make_room(file.parent, files, force)
    if not is_file(path):
        model.about["metrics"] = metrics_of(RunDir(path))
    save: Any = import_module(writer)
    with replacing(file) as temporary:
        save.save(model, temporary)
    with replacing(files[2]) as temporary:
        traversal_picture(traverse(model)).save(temporary, format="PNG")
    write_atomically(files[1], card(model, file.stem, file.name, files[2].name).encode())
    for name, written in zip(("model", "card", "picture"), files, strict=True):
        print(f"{name:<9}{written}")
    return files


def metrics_of(run: RunDir) -> list[dict[str, Any]]:
    """What was measured of a run: for each metric the row of the longest-trained checkpoint."""
    rows = newest_per_metric(read_results(run.eval_file)).values()
    return [{key: row.get(key) for key in KEPT} for row in rows]


def _default_file(path: str, model: Model, ending: str) -> Path:
    if is_file(path):
        return Path(path.removeprefix(PRETRAINED)).with_suffix(ending)
    return Path(path) / "exports" / f"{model.about['experiment']}-{model.about['run']}{ending}"
