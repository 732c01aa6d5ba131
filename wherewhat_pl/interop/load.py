"""A model by its path, whatever it is: a run's folder, an export, or a decoder of others.

What reads each kind is imported when a path asks for it: an export needs torch, numpy and safetensors, and no more.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch

from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.model import Model, torch_device

RUNS = "wherewhat_pl.run.model_of"
#: how a file's name ends -> the module that reads it, by ``load(path) -> Model``
READERS = {
    ".safetensors": "wherewhat_pl.interop.safetensors",
    ".pt": "wherewhat_pl.interop.torch_file",
    ".onnx": "wherewhat_pl.interop.onnx",
}
PRETRAINED = "pretrained:"
SHIPPED = Path(__file__).parents[1] / "pretrained"  #: small trained models that come with the package


def load(path: str | Path, checkpoint: str | Path | None = None, device: str | torch.device = "cpu") -> Model:
    """A trained model.

    Args:
        path: a run's folder, an export (``.safetensors``, ``.pt``, ``.onnx``), or ``pretrained:NAME``.
        checkpoint: of a run: a file, or the name of one in its ``checkpoints``; None: the newest that can be read.
        device: ``cpu``, ``cuda``, ``cuda:1``..., or ``auto``: a GPU if there is one. ONNX runs on the CPU.

    Raises:
        ConfigError: there is nothing there, or no such device.
        CheckpointError: a run's checkpoint, or a ``.pt`` file, is damaged.
        ModelError: an export is damaged or holds no model.
    """
    path = file_of(path)
    if not is_file(path):
        found: Model = import_module(RUNS).model_of_run(path, checkpoint, device)
        return found
    if not Path(path).is_file():
        raise ConfigError(f"run={path}: no such file")
    model: Model = import_module(READERS[Path(path).suffix]).load(Path(path))
    return model.to(torch_device(device))


def file_of(path: str | Path) -> str | Path:
    """The file behind ``pretrained:NAME``; any other path as it is.

    Raises:
        ConfigError: no such model ships with the package.
    """
    if not str(path).startswith(PRETRAINED):
        return path
    models = {file.stem: file for file in SHIPPED.glob("*.safetensors")}
    name = str(path).removeprefix(PRETRAINED)
    if name not in models:
        raise ConfigError(f"run={path}: no such model ships with this version{suggestion(name, sorted(models))}")
    return models[name]


def is_file(path: str | Path) -> bool:
    """Whether a path means an exported file, there or not, or a model that ships, and no run's folder."""
    if str(path).startswith(PRETRAINED):
        return True
    return Path(path).suffix in READERS and not Path(path).is_dir()
