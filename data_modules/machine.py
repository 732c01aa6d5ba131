"""What this process may use of the machine, as batch systems and containers restrict it."""

from __future__ import annotations

import os
from pathlib import Path


def available_cores() -> int:
    """CPU cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of memory, used or not."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            sizes.append(int(limit.read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(sizes)
