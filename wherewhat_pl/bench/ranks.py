"""Run by torchrun, for ``make bench only=ranks``: what a training step and its communication cost each process.

Prints, from the first process, one JSON object: ``step`` and ``waiting`` are seconds of a step and of the reductions
in it, in which a process also waits for the other; ``reduction`` those of a step's two reductions alone, when all
processes come to them together.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch
import torch.distributed as dist

from wherewhat_pl.bench.baseline import step_of
from wherewhat_pl.config import load_config
from wherewhat_pl.distributed import GradientAverage
from wherewhat_pl.system import DisentanglingGAN

ROUNDS = 7


class _Watch:
    """Stands in for ``GradientAverage.__call__``: how long the calls take, and whose they are."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.averages: dict[int, GradientAverage] = {}
        self._reduce = GradientAverage.__call__

    def __call__(self, average: GradientAverage) -> None:
        start = time.perf_counter()
        self._reduce(average)
        self.seconds += time.perf_counter() - start
        self.averages[id(average)] = average


def main(experiment: str) -> None:
    """Measure a step of an experiment, its batch divided among the processes."""
    dist.init_process_group("gloo")
    rank, processes = dist.get_rank(), dist.get_world_size()
    config = load_config(experiment)
    torch.set_num_threads(1)
    steps = config.model.r1.interval  # so many hold one with R1
    system = DisentanglingGAN(config)
    step = step_of(system, "cpu", processes=processes)
    watch = _Watch()
    GradientAverage.__call__ = lambda average: watch(average)  # type: ignore[method-assign, assignment]
    step()  # which makes the averages
    times: dict[str, list[float]] = {"step": [], "waiting": [], "reduction": []}
    for _ in range(ROUNDS):
        dist.barrier()
        watch.seconds = 0.0
        start = time.perf_counter()
        for _ in range(steps):
            step()
        times["step"].append((time.perf_counter() - start) / steps)
        times["waiting"].append(watch.seconds / steps)
        alone = []
        for _ in range(steps):
            dist.barrier()
            start = time.perf_counter()
            for average in watch.averages.values():
                average()
            alone.append(time.perf_counter() - start)
        times["reduction"].append(statistics.median(alone))
    if rank == 0:
        print(json.dumps({name: statistics.median(values) for name, values in times.items()}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
