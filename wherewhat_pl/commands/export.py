"""Write a model as one file that other programs read, with a card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhat_pl.analysis.settings import ModelSettings

EXAMPLE = "run=runs/shapes3d_quick/seed0 format=safetensors"


@dataclass(frozen=True)
class Settings(ModelSettings):
    # safetensors: for wherewhat_pl.load anywhere. onnx: the generator and its masks for onnxruntime and browsers.
    # torch: for torch.load(weights_only=True).
    format: Literal["safetensors", "onnx", "torch"] = "safetensors"
    out: str | None = None  # the file; null: EXPERIMENT-NAME in the run's `exports`, or beside the file given
    checkpoint: str | None = None  # of a run: a file, or the name of one in its checkpoints/; null: the newest


def run(settings: Settings) -> int:
    from wherewhat_pl.report.export import export

    export(settings.run, settings.format, settings.out, settings.checkpoint, settings.plugins, settings.force)
    return 0
