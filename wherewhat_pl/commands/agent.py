"""Work for a Weights & Biases sweep, one training after another."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

EXAMPLE = "sweep=me/wherewhat/abcd1234"


@dataclass(frozen=True)
class Settings:
    sweep: str = MISSING  # entity/project/id, as `sweep` prints it
    count: int | None = None  # trainings; null: until the sweep is done


def run(settings: Settings) -> int:
    # Sweep files say `python`, which shall be this one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    count = [] if settings.count is None else ["--count", str(settings.count)]
    # W&B's own agent takes this process's place, so that signals reach it, and it passes them on to the training.
    words = [sys.executable, "-m", "wandb", "agent", "--forward-signals", *count, settings.sweep]
    os.execve(sys.executable, words, os.environ | {"PATH": path})
