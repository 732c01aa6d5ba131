"""Several processes as one: how many there are, how they start, how their gradients and numbers become one."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.plugins.environments import ClusterEnvironment, LightningEnvironment, SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers import subprocess_script
from torch import Tensor, nn

from wherewhat_pl import signals
from wherewhat_pl.errors import ConfigError, ProcessLostError

LOST = ("connection", "broken pipe", "timed out", "timeout", "gloo", "nccl", "socket", "peer")  # words of transports
LONGEST_WAIT_S, LONGEST_HANG_S = 5.0, 30.0  # for a child's status; for this process to notice by itself


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


def leave_processes() -> None:
    """End the connections to the others, whose threads Python's end would otherwise find at work, and abort.

    Two processes of gloo that ended right after a reduction did so in 8 of 12 launches; with this in none of 12.
    """
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


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
    """Devices per node: as asked, else as many processes as ``torchrun`` started here, else every GPU, else one."""
    if devices is not None:
        return devices
    if _is_torchrun():
        return int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return torch.cuda.device_count() if _on_cuda(accelerator) else 1


def check_devices(devices: int | None, accelerator: str, num_nodes: int) -> None:
    """Whether what is asked for is here; raises :class:`ConfigError` that names the setting if not."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if not {"gpu": cuda or mps, "cuda": cuda, "mps": mps}.get(accelerator, True):
        raise ConfigError(f"trainer.accelerator={accelerator}: there is no such device here; auto takes what is")
    here = torch.cuda.device_count() if _on_cuda(accelerator) else mps if accelerator in ("gpu", "mps") else 1024
    if devices is not None and devices > here:
        raise ConfigError(f"trainer.devices={devices}: there {'is' if here == 1 else 'are'} {here} here")
    wanted = device_count(devices, accelerator) * num_nodes
    if _is_torchrun() and (started := int(os.environ.get("WORLD_SIZE", 1))) != wanted:
        raise ConfigError(
            f"trainer.devices={devices}: makes {wanted} processes on {num_nodes} nodes, "
            f"but torchrun started {started}; "
            "--nproc-per-node must be trainer.devices, and --nnodes trainer.num_nodes"
        )
    if (started := _started_by_srun()) not in (1, wanted):
        raise ConfigError(
            f"trainer.devices={devices}: makes {wanted} processes on {num_nodes} nodes, but srun started {started}; "
            "--ntasks-per-node must be trainer.devices, and --nodes trainer.num_nodes"
        )


def environment_for(world_size: int) -> list[ClusterEnvironment]:
    """Who starts the processes, as plug-ins for Lightning; none: what Lightning finds.

    Lightning takes an allocation of Slurm for processes started by ``srun``, also where there is only one, and refuses
    ``--ntasks``. Only a step of several tasks is one; anything else is a machine like any other.
    """
    if "SLURM_NTASKS" not in os.environ or _is_torchrun():
        return []
    return [_Srun(auto_requeue=False) if world_size > 1 and _started_by_srun() > 1 else LightningEnvironment()]


class _Srun(SLURMEnvironment):
    """Tasks of one step, as many as processes: :func:`check_devices` has looked."""

    @staticmethod
    def _validate_srun_variables() -> None:
        pass

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        pass


def strategy_for(world_size: int) -> Any:
    """What Lightning starts the processes with."""
    if world_size == 1:
        return "auto"
    # The averages are updated alike on every rank; broadcasting buffers would only cost.
    kind = _TasksOfSrun if _started_by_srun() > 1 else DDPStrategy
    return kind(broadcast_buffers=False, find_unused_parameters=False)


class _TasksOfSrun(DDPStrategy):
    """Processes that get a signal each, one perhaps before it comes to where the others wait for it."""

    def setup_environment(self) -> None:
        with signals.meeting():
            super().setup_environment()


@contextmanager
def losses_named() -> Iterator[None]:
    """Where another process is lost within the block, say so in one line, instead of what a transport says of it.

    Raises:
        ProcessLostError: one sentence. Where this process hangs instead, the program ends with that sentence.
    """
    children: list[subprocess.Popen[bytes]] = []
    over = threading.Event()

    def watch(child_processes: list[subprocess.Popen[bytes]]) -> None:
        children.extend(child_processes)
        threading.Thread(target=_end_with_the_lost, args=(children, over), daemon=True).start()

    subprocess_script._launch_process_observer = watch  # Lightning's kills this process too, without a word
    try:
        yield
    except RuntimeError as error:
        if count_processes() == 1 or not any(word in str(error).lower() for word in LOST):
            raise
        deadline = time.monotonic() + LONGEST_WAIT_S * bool(children)
        while not (lost := _lost(children)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not lost and count_processes() == 2:
            lost = f"process {1 - dist.get_rank()}"
        raise ProcessLostError(_in_words(lost)) from None
    finally:
        over.set()


def _end_with_the_lost(children: Sequence[subprocess.Popen[bytes]], over: threading.Event) -> None:
    """End a process that waits for one that is no more, which some transports do for half an hour."""
    while not (lost := _lost(children)):
        if over.wait(1):
            return
    if not over.wait(LONGEST_HANG_S):
        os.write(2, f"error: {_in_words(lost)}\n".encode())
        for child in children:
            child.kill()
        os._exit(1)


def _lost(children: Sequence[subprocess.Popen[bytes]]) -> str:
    """The first process that has ended otherwise than by itself, in words; nothing if there is none."""
    for number, child in enumerate(children, start=1):
        if status := child.poll():
            if status < 0:
                return f"process {number}, killed by signal {-status},"
            if status - 128 not in signals.SIGNALS:
                return f"process {number}, which ended with status {status},"
    return ""


def _in_words(lost: str) -> str:
    return f"{lost or 'another process'} is gone; the last checkpoint is kept, and the same command goes on from it"


def _is_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _on_cuda(accelerator: str) -> bool:
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def _started_by_srun() -> int:
    """Tasks of the step that this process is one of; 1 outside of Slurm, in a batch script, in an interactive step."""
    said = os.environ.get("SLURM_STEP_NUM_TASKS", "")
    return int(said) if said.isdigit() else 1
