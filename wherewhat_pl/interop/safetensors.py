"""Models as ``.safetensors``: tensors, what builds the networks in the metadata, and a hash of both.

The format itself has no checksum, and a flipped bit in a weight would load.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from data_modules.errors import one_line
from wherewhat_pl.errors import ModelError
from wherewhat_pl.interop.packing import digest, pack, unpack
from wherewhat_pl.model import Model

KEY = "wherewhat_pl"  #: of the description in the metadata


def save(model: Model, path: Path) -> None:
    """Write a model; raises :class:`ModelError` if it is not made of our networks."""
    description, tensors = pack(model)
    said = {"format": "pt", KEY: json.dumps(description), "blake2b": digest(description, tensors)}
    path.write_bytes(to_bytes(tensors, metadata=said))  # its own save_file makes files that only the owner reads


def load(path: Path) -> Model:
    """Read a model and verify that it is what was written.

    Raises:
        ModelError: it is damaged or holds no model; one sentence that names the file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dictionary)
        description = json.loads(metadata[KEY]) if KEY in metadata else None
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is damaged ({one_line(error, 120)})") from None
    if description is None:
        raise ModelError(f"{path}: holds tensors, but not what they are of; export models by 'make export'")
    if metadata.get("blake2b") != digest(description, tensors):
        raise ModelError(f"{path}: is damaged (its content is not what was written)")
    return unpack(description, tensors, path)
