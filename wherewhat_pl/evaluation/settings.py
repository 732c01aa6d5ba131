"""How metrics are measured, in numbers; torch is not needed to read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from wherewhat_pl.bounds import Amount, Count, Range, Several
from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.schema import check_values

DISTANCES = ("stlpips_vgg", "lpips_vgg")


@dataclass(frozen=True)
class EvalSettings:
    """How metrics are measured; each metric notes those it depends on."""

    seed: Annotated[int, Range(0, 2**32 - 1)] = 0  # of every draw
    distance: str = "stlpips_vgg"  # perceptual distance of TPL
    threshold: Amount | None = None  # TPL of an active dimension; null: the preset's, 0.3 (for LPIPS of larger images)
    train: Count = 10_000  # images, votes or points that supervised scores are fitted on
    test: Count = 5_000  # and those they are tested on
    images: Several = 10_000  # generated ones, and real ones, for image quality
    samples: Several = 64  # base codes of the "where" metrics
    batch: Count = 1024  # images of 64 x 64 pixels drawn or encoded at once; fewer of larger ones

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            raise ConfigError(f"distance={self.distance}: no such distance{suggestion(self.distance, DISTANCES)}")
        check_values(self)


@dataclass(frozen=True)
class DataPlace:
    """Where the images are now, if they have moved since the training."""

    root: str | None = None  # folder or archive of the photographs, or of the official files; null: where they were
    cache: str | None = None  # folder for prepared photographs; null: where it was

    def moved(self) -> dict[str, str]:
        """What is said of it."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class TableSettings:
    """What a table of runs shows."""

    # columns: names of metrics, or of their parts (mig.floor_hue, coverage.geometries); none: all that were measured
    metrics: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)  # settings that name the groups, in this order; none: all that differ
    over: list[str] = field(default_factory=list)  # settings whose values are repeats, as seeds are
    seeds: Count = 1  # least number of seeds of a group
    threshold: Amount | None = None  # TPL of an active dimension; null: what each was measured with
    unfinished: bool = False  # also runs that have not come to their trainer.max_kimg
