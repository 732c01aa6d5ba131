"""Stop a real training at random moments, from its first milliseconds on, let it go on, and compare the end.

    python -m tests.reliability.loop 20 [SEED]

starts the command as a user would, sends SIGKILL, SIGTERM, SIGINT or SIGUSR1 at 20 moments spread over imports, first
picture, steps, checkpoints, evaluations and the end, starts it again until it is done, and holds every result against a
run that was left alone: weights, Adam states and sums bit for bit, every row of ``metrics.jsonl`` and ``eval.jsonl``,
exit codes, what was said, what was left behind. It takes half a minute a moment on one slow core.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tests.conftest import TINY
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
MAX_IMAGES = 500
SETTINGS = (
    *TINY,
    f"trainer.max_kimg={MAX_IMAGES / 1000}",
    "checkpoint.interval_kimg=0.08",
    "pictures.interval_kimg=0.3",
    "logger.interval_kimg=0.06",  # no divisor of the length: the last row is one of its own
    "eval.interval_kimg=0.25",
    "eval.metrics=[where]",
)
LONGEST_S = 600


@dataclass
class Left:
    """What a run leaves behind.

    Attributes:
        state: of its last checkpoint: weights, Adam states, sums, clock.
        rows: of ``metrics.jsonl``, without the speed, which is the machine's.
        measured: rows of ``eval.jsonl``: metric, images_seen, value.
        litter: files that should be gone.
    """

    state: dict[str, Any]
    rows: list[dict[str, Any]]
    measured: list[tuple[str, int, float]]
    litter: list[str]

    @classmethod
    def by(cls, run: RunDir) -> Left:
        """Every line must be JSON: read without the product's forgiving reader."""
        rows, measured = ([json.loads(line) for line in file.open()] for file in (run.metrics_file, run.eval_file))
        for row in rows:
            row.pop("images_per_s", None)
        return cls(
            load_checkpoint(run.last_checkpoint),
            rows,
            [(row["metric"], row["images_seen"], row["value"]) for row in measured],
            [str(path) for path in run.path.rglob(".*")],
        )

    def differences(self, other: Left) -> list[str]:
        """In words; none if the two are the same."""
        keys = ("images_seen", "state_dict", "optimizer_states", "loss_sums")
        found = [f"checkpoint: {key}" for key in keys if not _same(self.state[key], other.state[key])]
        found += ["metrics.jsonl"] if self.rows != other.rows else []
        found += ["eval.jsonl"] if self.measured != other.measured else []
        return found + self.litter


def _same(one: Any, other: Any) -> bool:
    """Whether two trees of tensors and numbers are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


@dataclass
class Training:
    """The command, started again and again in one folder.

    Attributes:
        root: of the runs.
        settings: ``key=value`` of the experiment.
        mistakes: what was wrong with how it ended, in words.
    """

    root: Path
    name: str
    settings: tuple[str, ...] = SETTINGS
    mistakes: list[str] = field(default_factory=list)

    @property
    def run(self) -> RunDir:
        return RunDir(self.root / "shapes3d_quick" / self.name)

    def start(self) -> subprocess.Popen[str]:
        """From Python, since a shell's background jobs ignore SIGINT."""
        command = [sys.executable, "-m", "wherewhat_pl", "train", "exp=shapes3d_quick", *self.settings]
        command += [f"run.root={self.root}", f"run.name={self.name}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self) -> None:
        """Start it once more; it must get to its end."""
        process = self.start()
        _, said = process.communicate(timeout=LONGEST_S)
        if process.returncode:
            self.mistakes.append(f"did not finish: {process.returncode}, {said.strip()}")

    def is_finished(self) -> bool:
        """Whether all of its work is there, its summary too."""
        if not self.run.last_checkpoint.exists():
            return False
        done = load_checkpoint(self.run.last_checkpoint)["images_seen"] == MAX_IMAGES
        return done and "factor/floor_hue" in self.run.metrics_file.read_text()

    def stop(self, number: signal.Signals, after_s: float, since: str = "start", rank: int = 0) -> str:
        """Start it, send a signal, and hold how it ends against what is promised.

        Args:
            number: the signal.
            after_s: when.
            since: the process' start, or ``"folder"``: this start's first word in the run's folder.
            rank: of the process that gets it; others are started by the first.

        Returns:
            What became of it, for a log.
        """
        before = time.time()
        process = self.start()
        if since == "folder":
            while process.poll() is None and not _newer(self.run.config_file, before):
                time.sleep(0.02)
        time.sleep(after_s)
        pid = process.pid if rank == 0 else _child(process)
        ready = hears(pid)
        os.kill(pid, number)
        out, err = process.communicate(timeout=LONGEST_S)
        code, lines = process.returncode, [line for line in err.splitlines() if line.startswith("error:")]
        lines += [line for line in out.splitlines() if line.startswith("stopped and saved at")]
        what = f"{number.name} {after_s:6.2f} s after {since}: {code}, {' '.join(lines) or 'not a word'}"
        if code == 0 and not self.is_finished():
            self.mistakes.append(f"{what}: 0, but not finished")
        elif ready and number != signal.SIGKILL:
            if "Traceback" in err or code not in (0, 128 + number) or (code and len(lines) != 1):
                self.mistakes.append(f"{what}: {err.strip()}")
        elif not ready:
            what += " (before Python came to the first line, or after the last)"
        return what


def hears(pid: int) -> bool:
    """Whether a process has its handlers: Python's own start takes some milliseconds before the first line."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")), 0)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def _child(process: subprocess.Popen[str]) -> int:
    """The second process of a training in two, once it is there."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for pid in children.read_text().split():
            if "wherewhat_pl" in Path(f"/proc/{pid}/cmdline").read_text():
                return int(pid)
        time.sleep(0.05)
    raise AssertionError("it has started no other process")


def _newer(path: Path, than: float) -> bool:
    return path.exists() and path.stat().st_mtime >= than


def moments(count: int, seed: int, start_s: float, training_s: float) -> Iterator[tuple[signal.Signals, float, str]]:
    """Signals in turn; of four moments one in the first second, one up to the first step, two from there to the end."""
    draw = random.Random(seed)
    for number in range(count):
        kind = (number + number // len(SIGNALS)) % 4
        if kind == 0:
            yield SIGNALS[number % 4], math.exp(draw.uniform(math.log(0.05), 0)), "start"
        elif kind == 1:
            yield SIGNALS[number % 4], draw.uniform(0.5, start_s), "start"
        else:
            yield SIGNALS[number % 4], draw.uniform(0, 0.7 * training_s), "folder"


def try_moments(root: Path, count: int, seed: int, per_run: int = 4, log: Any = None) -> Counter[str]:
    """Disturb ``count`` times, ``per_run`` times a run.

    Returns:
        How many moments were ``tried``, ``survived`` and ``lost``; each mistake in words is a key too.
    """
    alone, started = Training(root, "alone"), time.time()
    alone.finish()
    whole_s, begun = time.time() - started, alone.run.picture_at(0).stat().st_mtime - started
    expected, result = Left.by(alone.run), Counter(tried=0, survived=0, lost=0)
    result.update(alone.mistakes)
    chosen = list(moments(count, seed, begun, whole_s - begun))
    for first in range(0, count, per_run):
        training = Training(root, f"disturbed{first}")
        for moment in chosen[first : first + per_run]:
            print(training.stop(*moment), file=log, flush=True)
        training.finish()
        mistakes = training.mistakes + Left.by(training.run).differences(expected)
        print("".join(f"  LOST: {mistake}\n" for mistake in mistakes), end="", file=log, flush=True)
        tried = len(chosen[first : first + per_run])
        result.update({"tried": tried, "lost" if mistakes else "survived": tried})
        result.update(mistakes)
    return result


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(
            dict(
                try_moments(
                    Path(folder), int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, log=sys.stdout
                )
            )
        )
