"""Run by torchrun: fifty steps with our reduction of gradients, and with DDP's that looks for unused parameters.

Prints, from the first process, the largest difference between the two and between the processes.
"""

import gc

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.conftest import TINY
from wherewhat_pl.config import load_config
from wherewhat_pl.system import DisentanglingGAN

STEPS = 50


class Ranked(DisentanglingGAN):
    global_rank = property(lambda self: dist.get_rank())


class Phases(nn.Module):
    """Both phases of a system as one forward pass, which is what DDP can wrap."""

    def __init__(self, system):
        super().__init__()
        self.system = system
        self.phases = {"generator": system.generator_losses, "discriminator": system.discriminator_losses}

    def forward(self, phase, *drawn):
        return self.phases[phase](*drawn)


def reduced_by_ddp(system):
    wrapped = DistributedDataParallel(Phases(system), find_unused_parameters=True, broadcast_buffers=False)
    system.generator_losses = lambda *drawn: wrapped("generator", *drawn)
    system.discriminator_losses = lambda *drawn: wrapped("discriminator", *drawn)
    system._move = lambda optimizer: optimizer.step()


def trained(reduce):
    """Weights after the steps: one vector."""
    system = Ranked(load_config("shapes3d_quick", [*TINY, "trainer.batch_size=8"]))
    reduce(system)
    optimizers = system.configure_optimizers()
    draw = torch.Generator().manual_seed(dist.get_rank())
    for _ in range(STEPS):
        system.step(torch.rand(4, 3, 8, 8, generator=draw) * 2 - 1, *optimizers)
    networks = (system.generator, system.discriminator, system.recognizer, system.generator_ema)
    return torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])


def main():
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    ours, ddps = trained(lambda system: None), trained(reduced_by_ddp)
    both = [torch.empty_like(ours) for _ in range(2)]
    dist.all_gather(both, ours)
    if dist.get_rank() == 0:
        print("ddp", float((ours - ddps).abs().max()), "processes", float((both[0] - both[1]).abs().max()))
    gc.collect()  # DDP, in a cycle with its system, else keeps the connections' threads, and they abort Python's end
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
