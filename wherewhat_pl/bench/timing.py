"""How the benchmarks measure: what is compared is run in turn, so that a busy machine slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


def timed(work: Callable[[], Result], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Result]:
    """Seconds of one call, a GPU's work included, and what it gave."""
    _synchronize()
    start = clock()
    result = work()
    _synchronize()
    return clock() - start, result


def paired_seconds(
    works: Mapping[str, Callable[[], object]],
    rounds: int = 7,
    min_seconds: float = 0.05,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of one call of each, measured in turn.

    ``clock`` may be ``time.process_time`` for work of one CPU thread: what else runs on the machine then counts less.
    """
    repeats = {}
    for name, work in works.items():
        work()  # warm up: allocations, library initialization
        repeats[name] = max(1, round(min_seconds / max(timed(work, clock)[0], 1e-6)))
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(timed(partial(repeat, work, repeats[name]), clock)[0] / repeats[name])
    return {name: statistics.median(values) for name, values in times.items()}


def repeat(work: Callable[[], object], count: int) -> None:
    """Call it so many times."""
    for _ in range(count):
        work()


def images_per_s(next_batch: Callable[[], Tensor], seconds: float, warm_up: int = 3) -> float:
    """Images per second of a source of batches, over at least so many seconds."""
    repeat(next_batch, warm_up)
    _synchronize()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        count += len(next_batch())
    _synchronize()
    return count / (time.perf_counter() - start)


def times_as_fast(what: str, slow: float, fast: float) -> str:
    """A line that compares two times in seconds."""
    return f"{what}: {slow / fast:.1f} times as fast ({slow * 1e3:.3g} ms -> {fast * 1e3:.3g} ms)"


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
