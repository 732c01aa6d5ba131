"""Several processes as one: how many there are, how they start, how their gradients and numbers become one."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch import nn


def average_gradients(parameters: list[nn.Parameter], world_size: int) -> None:
    """Replace gradients by their mean over all processes, in one reduction; without gradient stays without."""
    if world_size == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size
    parts = flat.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(grad) for part, grad in zip(parts, gradients, strict=True)])


def device_count(devices: int | None, accelerator: str) -> int:
    """Devices per node: as asked, else every GPU there is, else one process."""
    if devices is not None:
        return devices
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return torch.cuda.device_count() if on_gpu else 1


def strategy_for(world_size: int) -> Any:
    if world_size == 1:
        return "auto"

    # The averages are updated alike on every rank; broadcasting buffers would only cost.
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=False)
