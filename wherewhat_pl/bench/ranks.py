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


class _TimedAverage(GradientAverage):
    def __init__(self, average: GradientAverage) -> None:
        super().__init__(average.parameters)
        self.seconds = 0.0

    def __call__(self) -> None:
        start = time.perf_counter()
        super().__call__()
        self.seconds += time.perf_counter() - start


def main(experiment: str) -> None:
    """Measure a step of an experiment, its batch divided among the processes."""
    dist.init_process_group("gloo")
    rank, processes = dist.get_rank(), dist.get_world_size()
    config = load_config(experiment)
    torch.set_num_threads(1)
    steps = config.model.r1.interval  # so many hold one with R1
    system = DisentanglingGAN(config)
    step = step_of(system, "cpu", processes=processes)
    step()  # which makes the averages
    averages = {key: _TimedAverage(average) for key, average in system._averages.items()}
    system._averages = dict(averages)
    times: dict[str, list[float]] = {"step": [], "waiting": [], "reduction": []}
    for _ in range(ROUNDS):
        dist.barrier()
        for average in averages.values():
            average.seconds = 0.0
        start = time.perf_counter()
        for _ in range(steps):
            step()
        times["step"].append((time.perf_counter() - start) / steps)
        times["waiting"].append(sum(average.seconds for average in averages.values()) / steps)
        alone = []
        for _ in range(steps):
            dist.barrier()
            start = time.perf_counter()
            for average in averages.values():
                average()
            alone.append(time.perf_counter() - start)
        times["reduction"].append(statistics.median(alone))
    if rank == 0:
        print(json.dumps({name: statistics.median(values) for name, values in times.items()}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
