"""Work for a Weights & Biases sweep, one training after another."""

from __future__ import annotations

import os
import signal
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
    from wandb.cli.cli import cli

    # Sweep files say `python`, which shall be this one.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    status = 0

    def end_with_the_training(number: int, _: object) -> None:
        nonlocal status
        status = 128 + number
        raise SystemExit(status)

    # W&B's agent passes every signal on to its training, and then does what was to be done before. By itself it would
    # take SIGUSR1 for nothing and start another training; told to exit it waits for the one it has.
    signal.signal(signal.SIGUSR1, end_with_the_training)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    count = [] if settings.count is None else ["--count", str(settings.count)]
    cli.main(["agent", "--forward-signals", *count, settings.sweep], standalone_mode=False)
    return status
