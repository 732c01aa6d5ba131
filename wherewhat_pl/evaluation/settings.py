"""How metrics are measured, in numbers; torch is not needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhat_pl.errors import ConfigError, suggestion

DISTANCES = ("stlpips_vgg", "lpips_vgg")


@dataclass(frozen=True)
class EvalSettings:
    """How metrics are measured; each metric notes those it depends on."""

    seed: int = 0  # of every draw
    distance: str = "stlpips_vgg"  # perceptual distance of TPL
    threshold: float | None = None  # TPL of an active dimension; null: the preset's, 0.3 (for LPIPS of larger images)
    train: int = 10_000  # images, votes or points that supervised scores are fitted on
    test: int = 5_000  # and those they are tested on
    images: int = 10_000  # generated ones, and real ones, for image quality
    samples: int = 64  # base codes of the "where" metrics
    batch: int = 1024  # images of 64 x 64 pixels drawn or encoded at once; fewer of larger ones

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            raise ConfigError(f"distance={self.distance}: no such distance{suggestion(self.distance, DISTANCES)}")
        for name, least in (("train", 1), ("test", 1), ("images", 2), ("samples", 2), ("batch", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)}: must be at least {least}")
