"""What a run came from: versions, git state, machine, data; written beside its settings."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any


def provenance(data: dict[str, Any]) -> dict[str, Any]:
    """Versions, git state, machine and data, to be written beside the settings."""
    packages = ("torch", "pytorch-lightning", "torchmetrics", "omegaconf", "kornia", "wandb", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "git": _git_state(),
        "platform": platform.platform(),
        "processor": _processor(),
        "data": data,
    }


def _processor() -> str:
    """The CPU's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _git_state() -> dict[str, Any] | None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)  # an installed package may lie within somebody else's repository
        return {"commit": git("rev-parse", "HEAD"), "uncommitted_changes": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
