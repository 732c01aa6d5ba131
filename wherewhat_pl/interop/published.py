"""Networks with the published TensorFlow variables: one mapping for the oracle's files and for released checkpoints.

Convolutions are stored ``[k, k, in, out]`` and dense layers ``[in, out]``, both before the equalized scale.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Convs, Generator, ModulatedConv, NoisyConv, ResidualConvs
from wherewhat_pl.networks.masks import SpatialConstriction

Names = Iterator[tuple[str, Tensor]]
Matches = list[tuple[Tensor, np.ndarray]]


def networks_from_variables(
    config: Mapping[str, Any] | str, variables: Mapping[str, np.ndarray]
) -> tuple[Generator, Critic, Critic]:
    """Build the three networks and fill them with published variables.

    Args:
        config: as JSON text or already read: ``modules`` (the generator's list), ``resolution``, ``channels``,
            ``nf_scale``, and ``G`` and ``DI`` (or ``D`` and ``I``, where they differ) with ``fmap_base``,
            ``fmap_decay``, ``fmap_min``, ``fmap_max``.
        variables: arrays under their published names, ``G/...``, ``D/...`` and ``I/...``; a leading ``weight/`` and a
            trailing ``:0`` may be there or not.

    Returns:
        Generator, discriminator and recognizer in evaluation mode (fixed noise maps).

    Raises:
        ValueError: a variable is missing, has another shape, or belongs to no layer.
    """
    if isinstance(config, str):
        return networks_from_variables(json.loads(config), variables)

    def feature_maps(name: str) -> FeatureMaps:
        settings = config[name if name in config else "DI"]
        return FeatureMaps(*(settings[f"fmap_{key}"] for key in ("base", "decay", "min", "max")))

    resolution, channels = int(config["resolution"]), int(config["channels"])
    generator = Generator(list(config["modules"]), channels, feature_maps("G"), int(config["nf_scale"]))
    discriminator = Critic(resolution, channels, 1, feature_maps("D"))
    recognizer = Critic(resolution, channels, generator.num_latents, feature_maps("I"))

    left = {name.removeprefix("weight/").removesuffix(":0"): np.asarray(value) for name, value in variables.items()}
    left = {name: value for name, value in left.items() if name.split("/")[0] in ("G", "D", "I")}
    fill([*generator_names(generator), *critic_names(discriminator, "D"), *critic_names(recognizer, "I")], left)
    return generator.eval(), discriminator.eval(), recognizer.eval()


def generator_names(generator: Generator) -> Names:
    """Pairs of a published name and our tensor; stacked tensors are given by their slices."""
    yield "G/Const-0/const", generator.const
    noise_maps = 0
    for i, (spec, block) in enumerate(zip(generator.specs[1:], generator.blocks, strict=True), start=1):
        scope = "-".join((f"G/{spec.kind}", *spec.arguments[:-1], str(i)))
        if isinstance(block, Convs):
            for j, conv in enumerate(block.convs):
                yield from conv_names(f"{scope}-{j}", conv)
            if isinstance(block, ResidualConvs):
                yield from conv_names(f"G/{spec.kind}-{spec.arguments[0]}Resampled-{i}", block.skip)
        elif isinstance(block, ModulatedConv):
            yield from conv_names(scope, block.conv)
            yield f"{scope}/mod_weight", block.style.weight
            assert block.style.bias is not None
            yield f"{scope}/mod_bias", block.style.bias
        elif isinstance(block, SpatialConstriction):
            for name, tensor in block.published_masks().items():
                yield f"{scope}/{name}", tensor
            for k in range(block.num_latents):
                yield f"{scope}/Att_apply/style_mod-{k}/StyleMod/weight", block.style_weight[k : k + 1].T
                yield f"{scope}/Att_apply/style_mod-{k}/StyleMod/bias", block.style_bias[k]
        else:
            assert isinstance(block, nn.Sequential)
            for j, noisy in enumerate(block):
                assert isinstance(noisy, NoisyConv)
                yield from conv_names(f"{scope}-{j}", noisy.conv)
                yield f"{scope}-{j}/noise_strength-{i}-{j}", noisy.strength
                yield f"G/noise{noise_maps}", noisy.noise
                noise_maps += 1
    yield from conv_names("G/ToRGB", generator.to_rgb)


def critic_names(critic: Critic, scope: str) -> Names:
    """Pairs of a published name and our tensor, for D (``scope`` "D") or Q ("I")."""
    resolution = 4 << len(critic.blocks)
    yield from conv_names(f"{scope}/{resolution}x{resolution}/FromRGB", critic.from_rgb)
    for block in critic.blocks:
        for name, conv in (("Conv0", block.conv0), ("Conv1_down", block.conv1), ("Skip", block.skip)):
            yield from conv_names(f"{scope}/{resolution}x{resolution}/{name}", conv)
        resolution //= 2
    output = "Output" if scope == "D" else "Output/Dense_VC"
    for name, layer in (("4x4/Conv", critic.conv), ("4x4/Dense0", critic.dense), (output, critic.output)):
        yield from conv_names(f"{scope}/{name}", layer)


def conv_names(scope: str, layer: Any) -> Names:
    """``SCOPE/weight`` and, if there is one, ``SCOPE/bias``."""
    yield f"{scope}/weight", layer.weight
    if layer.bias is not None:
        yield f"{scope}/bias", layer.bias


def matches(names: Iterable[tuple[str, Tensor]], variables: Mapping[str, np.ndarray]) -> Matches:
    """Each tensor with its variable, whose dimensions are in the tensor's order; nothing is copied.

    Args:
        names: pairs of a published name and a tensor of ours, on any device.
        variables: arrays of numbers under these names.

    Raises:
        ValueError: a variable is missing, has another shape, or belongs to no layer.
    """
    left, found = dict(variables), []
    for name, tensor in names:
        if name not in left:
            raise ValueError(f"published variable {name} is missing")
        found.append((tensor, _in_our_order(name, left.pop(name), tuple(tensor.shape))))
    if left:
        more = f", and {len(left) - 1} more" * (len(left) > 1)
        raise ValueError(f"published variables belong to no layer: {min(left)}{more}")
    return found


@torch.no_grad()
def fill(names: Iterable[tuple[str, Tensor]], variables: Mapping[str, np.ndarray]) -> None:
    """Copy published variables into tensors, once all of them fit; arguments and errors as of :func:`matches`."""
    for tensor, value in matches(names, variables):
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, for the caller to see
            tensor.copy_(torch.from_numpy(np.array(value, np.float32, order="C")))  # of any byte order


def _in_our_order(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    ours = value
    if value.size == math.prod(shape) == 1:
        ours = value.reshape(shape)  # a number, or an array of it
    elif value.ndim == 4 and name.endswith("/weight"):
        ours = value.transpose(3, 2, 0, 1)  # [k, k, in, out] -> [out, in, k, k]
    elif value.ndim == 2:
        ours = value.T  # [in, out] -> [out, in]
    if ours.shape != shape:
        raise ValueError(f"published variable {name}: shape {ours.shape}, the network has {shape}")
    return ours
