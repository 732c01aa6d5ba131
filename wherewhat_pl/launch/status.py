"""All runs at a glance: read from their files and the queue, without torch, changing nothing."""

from __future__ import annotations

import glob
import math
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.launch.slurm import job_of, jobs_in_queue
from wherewhat_pl.run.files import read_rows
from wherewhat_pl.run.folder import RunDir, images_in_name
from wherewhat_pl.run.lock import is_held
from wherewhat_pl.signals import Stopped

SECONDS_BETWEEN_LOOKS = 5.0
LOSSES = {
    "loss/generator_adversarial": "G",
    "loss/discriminator_adversarial": "D",
    "loss/ps": "PS",
    "loss/infogan": "Q",
}
HEADINGS = ("experiment", "run", "state", "images", "of", "img/s", "left", "losses", "TPL")
ALIGNED = "<<<>>>><>"
WIDTH = 120  # of the table; names of runs are cut to what is left by the rest


@dataclass(frozen=True)
class Status:
    """What a run's files and the queue tell.

    Attributes:
        run: its folder.
        state: running, waiting, starting (in Slurm), stopped, finished, new, or damaged.
        job: its job, if the queue knows it.
        images: seen, by the newest row or checkpoint.
        max_images: how many it is to see; None if its settings cannot be read.
        images_per_s: by the newest row.
        losses: the newest, by short names.
        tpl: the newest that was measured.
        note: what is wrong with it, if something is.
    """

    run: RunDir
    state: str
    job: str = ""
    images: int = 0
    max_images: int | None = None
    images_per_s: float | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    tpl: float | None = None
    note: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Of training, at the newest speed; None if nothing is left or known."""
        if self.max_images is None or not self.images_per_s or self.images >= self.max_images:
            return None
        return (self.max_images - self.images) / self.images_per_s


def show_status(patterns: str, watch: bool) -> int:
    """Print the table of all runs that the patterns match, again and again if asked to; returns an exit status."""
    try:
        while True:
            jobs = jobs_in_queue()
            text = table([status_of(run, jobs) for run in find_runs(patterns)])
            if not watch:
                print(text)
                return 0
            clear = "\033[H\033[2J" if sys.stdout.isatty() else ""
            print(f"{clear}{time.strftime('%H:%M:%S')}, Ctrl-C ends this\n\n{text}", flush=True)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except (Stopped, KeyboardInterrupt):
        return 0


def find_runs(patterns: str) -> list[RunDir]:
    """Folders that are runs, or were made for one by ``slurm``; raises :class:`ConfigError` if there is none."""
    matches = {Path(match) for pattern in patterns.split(",") for match in glob.glob(pattern)}
    runs = [RunDir(path) for path in sorted(matches)]
    runs = [run for run in runs if run.config_file.exists() or run.checkpoints.is_dir() or job_of(run)]
    if not runs:
        raise ConfigError(f"runs={patterns}: there is no run")
    return runs


def status_of(run: RunDir, jobs: Mapping[str, str]) -> Status:
    """What is going on with a run.

    Args:
        run: its folder.
        jobs: the queue's states by job, see :func:`jobs_in_queue`.
    """
    job = job_of(run)
    rows = read_rows(run.metrics_file)
    kept = run.kept_checkpoints()
    images = max([_images(row) for row in rows] + [*map(images_in_name, kept)], default=0)
    max_images, note = _max_images(run)
    if kept and not any(path.stat().st_size and zipfile.is_zipfile(path) for path in kept):
        note = note or f"{run.checkpoints}: no checkpoint there is whole"
    newest: dict[str, Any] = next((row for row in reversed(rows) if "images_per_s" in row), {})
    tpl = [row for row in read_rows(run.eval_file) if str(row.get("metric")).startswith("tpl")]
    return Status(
        run,
        state=_state(run, jobs.get(job, ""), bool(note), images, max_images),
        job=job if job in jobs else "",
        images=images,
        max_images=max_images,
        images_per_s=_number(newest.get("images_per_s")),
        losses={short: value for name, short in LOSSES.items() if (value := _number(newest.get(name))) is not None},
        tpl=_number(tpl[-1].get("value")) if tpl else None,
        note=note,
    )


def table(found: Sequence[Status]) -> str:
    """A line for each run and one for each that is damaged, saying what is wrong."""
    rows = [HEADINGS, *(_cells(status) for status in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    others = sum(widths) - widths[1] + 2 * len(widths[1:])
    widths[1] = min(widths[1], max(WIDTH - others, 12))
    rows = [(row[0], _short(row[1], widths[1]), *row[2:]) for row in rows]
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, ALIGNED, widths, strict=True)).rstrip()
        for row in rows
    ]
    states = [status.state for status in found]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    notes = [f"damaged: {status.note}" for status in found if status.note]
    return "\n".join([*lines, "", counts, *notes])


def _state(run: RunDir, in_queue: str, damaged: bool, images: int, max_images: int | None) -> str:
    if is_held(run.path):
        return "running"
    if in_queue:
        return "starting" if in_queue in ("RUNNING", "CONFIGURING", "COMPLETING") else "waiting"
    if damaged:
        return "damaged"
    if max_images is not None and images >= max_images:
        return "finished"
    return "stopped" if images else "new"


def _max_images(run: RunDir) -> tuple[int | None, str]:
    """From ``config.yaml``, of which nothing else is read: checking all of it would take torch, and seconds."""
    if not run.config_file.exists():
        return None, f"{run.path}: has checkpoints but no config.yaml" if run.kept_checkpoints() else ""
    try:
        settings = yaml.load(run.config_file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return round(float(settings["trainer"]["max_kimg"]) * 1000), ""
    except (OSError, ValueError, KeyError, TypeError, OverflowError, yaml.YAMLError) as error:
        return None, f"{run.config_file}: cannot be read ({one_line(error, 120)})"


def _cells(status: Status) -> tuple[str, ...]:
    losses = " ".join(f"{name} {value:.3g}" for name, value in status.losses.items())
    left = status.seconds_left
    speed = status.images_per_s
    return (
        _short(status.run.path.parent.name, 16),
        status.run.path.name,
        status.state + (f" {status.job}" if status.job else ""),
        _count(status.images),
        "-" if status.max_images is None else _count(status.max_images),
        "-" if speed is None else f"{speed:.3g}",
        "-" if left is None else _duration(left),
        losses or "-",
        "-" if status.tpl is None else f"{status.tpl:.3g}",
    )


def _short(name: str, width: int) -> str:
    """Cut in the middle: what tells runs apart stands at both ends."""
    return name if len(name) <= width else f"{name[: width - 8]}..{name[-6:]}"


def _count(images: int) -> str:
    if images < 10_000:
        return str(images)
    return f"{images / 1000:.0f}k" if images < 10_000_000 else f"{images / 1e6:.1f}M"


def _duration(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    days, hours = minutes // 1440, minutes % 1440 // 60
    return f"{days}d {hours:02d}h" if days else f"{hours}:{minutes % 60:02d} h"


def _images(row: Mapping[str, Any]) -> int:
    seen = row.get("images_seen")
    return seen if type(seen) is int and seen >= 0 else 0


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None
