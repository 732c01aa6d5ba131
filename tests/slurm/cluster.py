"""A real Slurm cluster of two nodes on this machine, and a tiny training on it that can be disturbed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.conftest import TINY
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.files import read_rows
from wherewhat_pl.run.folder import RunDir

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = Path("/tmp/wherewhat-slurm")  # of the cluster; its paths must be short
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
SETTINGS = [word for word in TINY if not word.startswith(("trainer.accelerator", "trainer.devices"))]
SETTINGS += ["checkpoint.interval_kimg=0.2", "pictures.interval_kimg=0.4", "logger.interval_kimg=0.02"]


def why_not() -> str:
    """Why a cluster cannot be started here; empty if it can."""
    if os.getuid():
        return "a Slurm cluster of one's own needs root"
    missing = [name for name in ("munged", "slurmctld", "slurmd", "srun", "ip") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)}: not installed (tests/slurm/install.sh)"
    tried = subprocess.run(["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "true"], capture_output=True)
    return "namespaces may not be made here (CAP_SYS_ADMIN)" if tried.returncode else ""


@contextmanager
def running_cluster() -> Iterator[None]:
    """Within the block there is a cluster, which ends with all its jobs; another process waits until there is none."""
    before = dict(os.environ)
    with FOLDER.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            os.environ["SLURM_KIT_DIR"] = str(FOLDER)
            said = subprocess.run([HERE / "up.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout
            os.environ |= dict(re.findall(r"(\w+)='([^']*)'", said))
            try:
                yield
            finally:
                subprocess.run([HERE / "down.sh"], check=True)
        finally:
            os.environ.clear()
            os.environ.update(before)


@dataclass(frozen=True)
class Job:
    """A training that was submitted by the project's own command.

    Attributes:
        number: the job's.
        run: the folder it trains into.
    """

    number: str
    run: RunDir

    @classmethod
    def submit(cls, root: Path, name: str, kimg: float, *more: str) -> Job:
        words = ["exp=shapes3d_quick", "nodes=2", "gpus=0", *SETTINGS, f"trainer.max_kimg={kimg}", *more]
        words += [f"run.root={root}", f"run.name={name}"]
        command = [sys.executable, "-m", "wherewhat_pl", "slurm", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return cls(done.stdout.split()[1], RunDir(root / "shapes3d_quick" / name))

    @property
    def log(self) -> str:
        file = self.run.path / f"slurm-{self.number}.out"
        return file.read_text() if file.is_file() else ""

    def facts(self) -> dict[str, str]:
        """What Slurm knows of it: ``JobState``, ``Restarts``, ``ExitCode``, ..."""
        said = subprocess.run(["scontrol", "show", "job", "-o", self.number], capture_output=True, text=True)
        return dict(word.split("=", 1) for word in said.stdout.split() if "=" in word)

    def signal(self, name: str) -> None:
        """Send a signal to its processes, if it has not ended."""
        subprocess.run(["scancel", f"--signal={name}", self.number], capture_output=True)

    def wait_until(self, *states: str, seconds: float = 300) -> dict[str, str]:
        """Wait for a state; raises TimeoutError with the log's end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            facts = self.facts()
            if facts.get("JobState") in states:
                return facts
            time.sleep(0.5)
        raise TimeoutError(f"job {self.number} is {self.facts().get('JobState')}; its log ends\n{self.log[-2000:]}")

    def wait_for_file(self, name: str, seconds: float = 300) -> None:
        """Wait for a file of the run's."""
        end = time.monotonic() + seconds
        while not (self.run.path / name).exists():
            assert time.monotonic() < end, f"no {name}; the log ends\n{self.log[-2000:]}"
            time.sleep(0.2)


def differences(run: RunDir, undisturbed: RunDir) -> list[str]:
    """What of a run is not as in the one that nobody disturbed; bits of weights and optimizers, rows of losses."""
    found = []
    ours, theirs = (load_checkpoint(each.last_checkpoint) for each in (run, undisturbed))
    if ours["images_seen"] != theirs["images_seen"]:
        found.append(f"images_seen: {ours['images_seen']}, not {theirs['images_seen']}")
    for key in ("state_dict", "optimizer_states"):
        found += [f"{key}.{name}" for name in _unequal(ours[key], theirs[key])]
    rows, wanted = (_without_speed(read_rows(each.metrics_file)) for each in (run, undisturbed))
    seen = [row["images_seen"] for row in rows if "loss/ps" in row]
    if len(seen) != len(set(seen)):
        found.append("metrics.jsonl: a row stands there twice")
    if rows != wanted:
        found.append(f"metrics.jsonl: {len(rows)} rows, not the {len(wanted)} of the other, or others")
    found += [f"left behind: {path.name}" for path in run.path.rglob(".*") if path.name != ".gitignore"]
    for path in run.kept_checkpoints():
        load_checkpoint(path)  # raises CheckpointError if it is damaged
    return found


def _without_speed(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{key: value for key, value in row.items() if key != "images_per_s"} for row in rows]


def _unequal(ours: object, theirs: object, name: str = "") -> list[str]:
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        return [] if torch.equal(ours, theirs) else [name]
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        return [bad for key in ours for bad in _unequal(ours[key], theirs[key], f"{name}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [bad for k, (a, b) in enumerate(zip(ours, theirs, strict=True)) for bad in _unequal(a, b, f"{name}.{k}")]
    return [] if ours == theirs else [name]
