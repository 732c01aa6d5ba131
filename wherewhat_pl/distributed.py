"""Several processes as one: how many there are, how they start, how their gradients and numbers become one."""

from __future__ import annotations

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


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes, in one reduction; without gradient stays without."""
    if count_processes() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = sum_over_processes(torch.cat([gradient.flatten() for gradient in gradients])) / count_processes()
    parts = flat.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(grad) for part, grad in zip(parts, gradients, strict=True)])


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
