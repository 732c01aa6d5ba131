"""Run by torchrun, for ``make bench only=ranks``: what a training step and its communication cost each process.

Prints, from the first process, one JSON object: ``step`` and ``waiting`` are seconds of a step and of the reductions
in it, in which a process also waits for the other; ``reduction`` those of a step's two reductions alone, when all
processes come to them together.
"""

from __future__ import annotations

import json
import statistics
import sys
from functools import partial

import torch
import torch.distributed as dist

from wherewhat_pl.bench.baseline import step_of
from wherewhat_pl.bench.timing import repeat, timed
from wherewhat_pl.config import load_config
from wherewhat_pl.distributed import GradientAverage
from wherewhat_pl.system import DisentanglingGAN

ROUNDS = 7


def main(experiment: str) -> None:
    """Measure a step of an experiment, its batch divided among the processes."""
    dist.init_process_group("gloo")
    rank, processes = dist.get_rank(), dist.get_world_size()
    config = load_config(experiment)
    torch.set_num_threads(1)
    steps = config.model.r1.interval  # so many hold one with R1
    step = step_of(DisentanglingGAN(config), "cpu", processes=processes)
    averages: dict[int, GradientAverage] = {}
    waits: list[float] = []
    reduce = GradientAverage.__call__

    def watched(average: GradientAverage) -> None:
        waits.append(timed(partial(reduce, average))[0])
        averages[id(average)] = average

    def all_reductions() -> None:
        for average in averages.values():
            average()

    GradientAverage.__call__ = watched  # type: ignore[method-assign, assignment]
    step()  # which makes the averages
    times: dict[str, list[float]] = {"step": [], "waiting": [], "reduction": []}
    for _ in range(ROUNDS):
        dist.barrier()
        waits.clear()
        times["step"].append(timed(partial(repeat, step, steps))[0] / steps)
        times["waiting"].append(sum(waits) / steps)
        alone = []
        for _ in range(steps):
            dist.barrier()
            alone.append(timed(all_reductions)[0])
        times["reduction"].append(statistics.median(alone))
    if rank == 0:
        print(json.dumps({name: statistics.median(values) for name, values in times.items()}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
