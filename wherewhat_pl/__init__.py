"""Unsupervised, interpretable disentanglement with PS-SC GANs (Zhu, Xu, Tao, CVPR 2021) on PyTorch Lightning."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_OFFERED = {"load": "wherewhat_pl.interop.load", "Model": "wherewhat_pl.model"}


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is first asked for, so that a command answers at once."""
    if name in _OFFERED:
        return getattr(import_module(_OFFERED[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
