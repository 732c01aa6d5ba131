"""What every command on a trained model is told; torch is not needed to read it."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING


@dataclass(frozen=True)
class ModelSettings:
    """Which model, and where the results go."""

    run: str = MISSING  # a run's folder, or a model's file: .safetensors, .pt or .onnx
    out: str | None = None  # where to; null: inside the run's folder, or beside the file
    device: str = "auto"  # cpu, cuda, cuda:1..., or auto: a GPU if there is one
    plugins: list[str] = field(default_factory=list)  # modules of your own that define the model's masks
    force: bool = False  # write over what is there
