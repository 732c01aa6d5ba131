"""What a training step costs in floating point operations, counted on the meta device: nothing is computed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from wherewhat_pl.system import DisentanglingGAN

BATCH = 4  # any small number: minibatch statistics cost nothing that is counted


@dataclass(frozen=True)
class Cost:
    """Billions of floating point operations per image (a multiply-add is two).

    Attributes:
        generator, discriminator, recognizer: one forward pass.
        iteration: everything a training step does per real image, lazy R1 spread over its interval.
    """

    generator: float
    discriminator: float
    recognizer: float
    iteration: float


class _Counter(TorchDispatchMode):
    """Adds up torch's own formulas; ``FlopCounterMode`` tracks modules too, by hooks that fail under R1."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


def count_cost(system: DisentanglingGAN) -> Cost:
    """Count the matrix products and convolutions of a system's passes; filters and pointwise work are not counted."""
    system = copy.deepcopy(system).to("meta")
    config = system.config = replace(system.config, trainer=replace(system.config.trainer, accumulate=1))
    latents = torch.empty(BATCH, system.num_latents, device="meta")
    reals = torch.empty(BATCH, system.channels, config.data.resolution, config.data.resolution, device="meta")

    def gflop(work: Callable[[Tensor], object], given: Tensor) -> float:
        with _Counter() as counter:
            work(given)
        return counter.flops / BATCH / 1e9

    system.images_seen = 0
    iteration = gflop(system.generator_phase, reals)
    with_r1 = gflop(system.discriminator_phase, reals)
    system.images_seen = config.trainer.batch_size  # one batch later: no R1, unless it is due at every batch
    without_r1 = gflop(system.discriminator_phase, reals)
    iteration += without_r1 + (with_r1 - without_r1) / config.model.r1.interval
    with torch.no_grad():
        return Cost(
            generator=gflop(system.generator, latents),
            discriminator=gflop(system.discriminator, reals),
            recognizer=gflop(system.recognizer, reals) if system.recognizer else 0.0,
            iteration=iteration,
        )
