"""Several processes as one: how many there are, how they start, how their gradients and numbers become one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn


def count_processes() -> int:
    """How many processes train together; 1 outside ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Add up ``values`` in place, alike on all processes; call on all of them together. Returns its argument."""
    if count_processes() > 1:
        dist.all_reduce(values)
    return values


def max_over_processes(values: Tensor) -> Tensor:
    """The same with the largest of each."""
    if count_processes() > 1:
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values


def gather_over_processes(values: Tensor) -> Tensor:
    """``[...]`` of each process -> ``[processes, ...]``, alike on all of them."""
    if count_processes() == 1:
        return values[None].clone()
    parts = [torch.empty_like(values) for _ in range(count_processes())]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts)


class GradientAverage:
    """Replaces gradients by their mean over all processes, in one reduction of a buffer that is kept from step to step.

    Args:
        parameters: of one optimizer. Those without a gradient stay without.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self._flat: Tensor | None = None

    def __call__(self) -> None:
        """Call on all processes together."""
        if count_processes() == 1:
            return
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        sizes = [gradient.numel() for gradient in gradients]
        if self._flat is None or len(self._flat) != sum(sizes):
            self._flat = gradients[0].new_empty(sum(sizes))
        views = [part.view_as(gradient) for part, gradient in zip(self._flat.split(sizes), gradients, strict=True)]
        torch._foreach_copy_(views, gradients)
        sum_over_processes(self._flat).div_(count_processes())
        torch._foreach_copy_(gradients, views)


def are_equal(tensors: Iterable[Tensor]) -> bool:
    """Whether all processes hold the same numbers, by one reduction of two sums; alike on all of them."""
    if count_processes() == 1:
        return True
    sums = torch.stack([torch.stack([t.double().sum(), t.double().square().sum()]) for t in tensors]).flatten()
    largest = max_over_processes(torch.cat([sums, -sums]))
    return bool((largest.view(2, -1).sum(0) == 0).all())


def device_count(devices: int | None, accelerator: str) -> int:
    """Devices per node: as asked, else every GPU there is, else one process."""
    if devices is not None:
        return devices
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return torch.cuda.device_count() if on_gpu else 1


def strategy_for(world_size: int) -> Any:
    """What Lightning starts the processes with."""
    if world_size == 1:
        return "auto"
    # The averages are updated alike on every rank; broadcasting buffers would only cost.
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=False)
