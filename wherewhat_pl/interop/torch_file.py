"""Models as ``.pt``: a dictionary that ``torch.load(weights_only=True)`` reads, sealed as checkpoints are."""

from __future__ import annotations

from pathlib import Path

import torch

from wherewhat_pl.errors import ModelError
from wherewhat_pl.interop.packing import pack, unpack
from wherewhat_pl.model import Model
from wherewhat_pl.run.checkpoints import load_sealed, seal

KEYS = {"model", "tensors"}


def save(model: Model, path: Path) -> None:
    """Write a model; raises :class:`ModelError` if it is not made of our networks."""
    description, tensors = pack(model)
    torch.save({"model": description, "tensors": tensors}, path)
    seal(path)


def load(path: Path) -> Model:
    """Read a model and verify that it is what was written.

    Raises:
        CheckpointError: it is damaged.
        ModelError: it holds no model; one sentence that names the file.
    """
    content = load_sealed(path)
    if not isinstance(content, dict) or content.keys() != KEYS or not isinstance(content["tensors"], dict):
        raise ModelError(f"{path}: is no exported model; a checkpoint is read by its run's folder, run=runs/...")
    return unpack(content["model"], content["tensors"], path)
