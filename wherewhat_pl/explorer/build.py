"""The files of the explorer: the page, onnxruntime-web, and a model with what the page must know about it.

A file is a name and its bytes; the server sends them from memory, and an export writes them into a folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from wherewhat_pl.analysis.outputs import make_room
from wherewhat_pl.errors import ModelError
from wherewhat_pl.interop import onnx_export
from wherewhat_pl.interop.onnx import OnnxModel
from wherewhat_pl.interop.packing import digest, pack
from wherewhat_pl.model import Latent, Model
from wherewhat_pl.run.files import write_atomically

HERE = Path(__file__).parent
RUNTIME = "onnxruntime_web"
#: Under the names by which they are served: some web servers do not know that .mjs is JavaScript.
RENAMED = {"ort.wasm.min.mjs": "ort.js", "ort-wasm-simd-threaded.mjs": "ort-wasm.js"}
MODEL, ABOUT = "model.onnx", "meta.json"


def page_files() -> dict[str, bytes]:
    """The page and onnxruntime-web with its licences: what is the same for every model."""
    files = {path.name: path.read_bytes() for path in sorted((HERE / "page").iterdir())}
    for path in sorted((HERE / RUNTIME).iterdir()):
        files[f"{RUNTIME}/{RENAMED.get(path.name, path.name)}"] = path.read_bytes()
    return files


def onnx_bytes(model: Model, path: str) -> bytes:
    """The model as the browser runs it, one image at a time.

    Raises:
        ConfigError: a library is missing.
        ModelError: it is a decoder of others, with other inputs or outputs than ours have.
    """
    if isinstance(model, OnnxModel):
        if not model.is_ours:
            raise ModelError(f"{path}: is a decoder of others; the explorer takes this framework's own models")
        return Path(path).read_bytes()
    with TemporaryDirectory() as folder:
        file = Path(folder) / MODEL
        onnx_export.save(model, file, batch=1)
        return file.read_bytes()


def about(
    model: Model, title: str, order: Sequence[int], order_by: str, names_in: str | None = None
) -> dict[str, object]:
    """What the page is told, in values that JSON has.

    Args:
        model: what draws.
        title: what people call it.
        order: positions of all latents, the one to be shown first in front.
        order_by: what the order was told by.
        names_in: the file that names are written to; None: the browser keeps them.
    """
    data = model.about.get("data") or {}
    facts = [
        " ".join(str(data[key]) for key in ("name", "source") if data.get(key)),
        f"{model.about['images_seen']:,} images seen" if "images_seen" in model.about else "",
        f"{model.resolution} px",
    ]
    return {
        "title": title,
        "facts": [fact for fact in facts if fact],
        "key": fingerprint(model),
        "resolution": model.resolution,
        "channels": model.channels,
        "prior": model.prior,
        "order": list(order),
        "order_by": order_by,
        "masked": model.masked_latents,
        "names_in": names_in,
        "latents": latents_for_page(model.latents),
    }


def fingerprint(model: Model) -> str:
    """Of the weights: what the browser keeps of one model it does not take for another's."""
    return model.fingerprint if isinstance(model, OnnxModel) else digest({}, pack(model)[1])[:16]


def latents_for_page(latents: Sequence[Latent]) -> list[dict[str, object]]:
    """Names, signs and ranges in the words of ``latents.yaml``."""
    return [{"name": each.name, "sign": each.sign, "range": [each.low, each.high]} for each in latents]


def write_folder(files: dict[str, bytes], folder: Path, force: bool) -> None:
    """Write an explorer for any web server; raises :class:`ConfigError` if something is there, without ``force``."""
    make_room(folder, [folder / name for name in files], force)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_atomically(folder / name, content)


def to_json(content: dict[str, object]) -> bytes:
    """As the page reads it."""
    return json.dumps(content).encode()
