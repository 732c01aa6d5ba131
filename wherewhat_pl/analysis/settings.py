"""What commands on a trained model are told; torch is not needed to read it."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from wherewhat_pl.errors import ConfigError, require_at_least


@dataclass(frozen=True)
class ModelSettings:
    """Which model, and where the results go."""

    run: str = MISSING  # a run's folder, or a model's file: .safetensors, .pt or .onnx
    out: str | None = None  # where to; null: inside the run's folder, or beside the file
    device: str = "auto"  # cpu, cuda, cuda:1..., or auto: a GPU if there is one
    plugins: list[str] = field(default_factory=list)  # modules of your own that define the model's masks
    force: bool = False  # write over what is there


@dataclass(frozen=True)
class TraverseSettings(ModelSettings):
    """What ``traverse`` is told."""

    top: int | None = None  # so many latents, those with the longest TPL if that was measured, else that change most
    seeds: int = 1  # base codes, a picture each, side by side in the animation
    seed: int = 0  # the first of them
    codes: str | None = None  # a file that `generate`, `project` or `edit` wrote: its first in place of the seeds
    columns: int = 9  # values per latent in the pictures
    limit: float | None = None  # from -limit to limit; null: the ranges in latents.yaml, or from -2 to 2
    frames: int = 24  # of the animation, from one end to the other
    formats: list[str] | None = None  # of the animation: gif, webp, mp4; null: all, mp4 where there is ffmpeg

    def __post_init__(self) -> None:
        require_at_least(self, top=1, seeds=1, columns=2, frames=2)
        if self.limit is not None and not 0 < self.limit <= 100:
            raise ConfigError(f"limit={self.limit}: must be above 0 and at most 100")
