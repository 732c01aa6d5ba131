"""Verify and prepare a data set, or say where to get it."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from wherewhat_pl.bounds import Pixels
from wherewhat_pl.config import load_config

EXAMPLE = "name=celeba"


@dataclass(frozen=True)
class Settings:
    name: str = MISSING  # an experiment's: celeba, ffhq, dsprites, shapes3d, images...
    root: str | None = None  # folder of the official files, or of the photographs; null: the experiment's
    resolution: Pixels | None = None  # pixels to prepare for; null: the experiment's
    cache: str | None = None  # folder for prepared photographs; null: the experiment's


def run(settings: Settings) -> int:
    given = {key: getattr(settings, key) for key in ("root", "resolution", "cache")}
    config = load_config(settings.name, [f"data.{key}={value}" for key, value in given.items() if value is not None])
    from wherewhat_pl.launch.data_check import check_data

    return check_data(config)
