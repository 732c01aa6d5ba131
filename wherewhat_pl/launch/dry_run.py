"""``train --dry-run``: build everything, say what it is and what it will cost, start nothing, write nothing."""

from __future__ import annotations

import math

import torch
from torch import nn

from wherewhat_pl.config import check_divisible
from wherewhat_pl.distributed import device_count
from wherewhat_pl.launch.cost import count_cost
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.networks.module_lists import module_list
from wherewhat_pl.run.build import build_system, data_for
from wherewhat_pl.settings import ExperimentConfig


def describe(config: ExperimentConfig) -> str:
    """A page of text; raises what building raises (``ConfigError``, ``DataError``)."""
    world_size = device_count(config.trainer.devices, config.trainer.accelerator) * config.trainer.num_nodes
    check_divisible(config.trainer.batch_size, world_size, config.trainer.accumulate)
    data = data_for(config)
    with torch.device("meta"):  # sizes and costs need no memory
        system = build_system(config, data)
    source, num_images = data.preview()
    cost = count_cost(system)
    steps = math.ceil(config.trainer.max_kimg * 1000 / config.trainer.batch_size)

    lines = [
        f"experiment  {config.experiment}, model.loss={config.model.loss}, model.mask={config.model.mask}",
        f"data        {data.name} ({source}), {num_images:,} images, "
        f"{data.channels} x {data.resolution} x {data.resolution}",
        "",
        *_table(system.generator, module_list(config.model.generator.modules, config.model.mask)),
        "",
        f"{'network':<14}{'parameters':>12}{'GFLOP per image':>18}",
    ]
    for name in ("generator", "discriminator", "recognizer"):
        if (network := getattr(system, name)) is not None:
            lines.append(f"{name:<14}{_parameters(network):>12,}{getattr(cost, name):>18.4g}")
    lines += [
        "",
        f"latents     {system.num_latents}",
        f"iteration   {cost.iteration:.4g} GFLOP per image, G, D, Q and lazy R1 together",
        f"training    {config.trainer.max_kimg:g} kimg in {steps:,} steps of {config.trainer.batch_size} images "
        f"on {world_size} process{'es' * (world_size > 1)}, "
        f"{cost.iteration * config.trainer.max_kimg / 1e3:.4g} PFLOP in all",
    ]
    return "\n".join(lines)


def _table(generator: Generator, modules: list[str]) -> list[str]:
    counts = [generator.const.numel(), *map(_parameters, generator.blocks)]
    rows = [f"{text:<22}{count:>12,}" for text, count in zip(modules, counts, strict=True)]
    return [f"{'generator module':<22}{'parameters':>12}", *rows]


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
