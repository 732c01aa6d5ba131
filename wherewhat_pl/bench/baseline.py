"""The training step in its plain form, which ``make bench only=step`` and a test hold the fast one against.

The same weights, losses and random numbers, every operation as the method writes it: reals and fakes through D one
after the other, the constant at the size of the batch, instance norm as a layer of its own, biases added afterwards.
Beside it a plain PyTorch discriminator, without equalized weights and minibatch statistics: what these extras cost.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhat_pl.networks.critic import Critic, ResidualDown
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Generator, ModulatedConv, ResidualConvs
from wherewhat_pl.networks.layers import SLOPE, EqualizedConv2d, instance_norm
from wherewhat_pl.networks.masks import RectangleConstriction, SoftmaxConstriction, SpatialConstriction
from wherewhat_pl.networks.resample import conv_down, conv_up
from wherewhat_pl.system import DisentanglingGAN


class PlainConv2d(EqualizedConv2d):
    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        weight = self.weight * self.scale
        if self.mode == "up":
            x = conv_up(x, weight)
        elif self.mode == "down":
            x = conv_down(x, weight)
        else:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        if noise is not None:
            x = x + noise * self.gain
        if self.bias is not None:
            x = x + (self.bias * self.gain).to(x.dtype)[:, None, None]
        return F.leaky_relu(x, SLOPE) if self.activation else x


class PlainResidualConvs(ResidualConvs):
    def forward(self, x: Tensor) -> Tensor:
        skip = x
        for _ in range(self.repeats if self.mode == "down" else 0):
            skip = F.avg_pool2d(skip, 2)
        skip = self.skip(skip)
        for _ in range(self.repeats if self.mode == "up" else 0):
            skip = skip.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return self.convs(x) + skip  # type: ignore[no-any-return]


class PlainModulatedConv(ModulatedConv):
    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        style = self.style(latents) + 1
        weight = self.conv.weight * self.conv.scale
        demodulation = (style.square() @ weight.square().sum(dim=(2, 3)).T + 1e-8).rsqrt()
        x = F.conv2d(x * style[:, :, None, None], weight, padding=1) * demodulation[:, :, None, None]
        assert self.conv.bias is not None
        return F.leaky_relu((x + self.conv.bias[:, None, None]) * math.sqrt(2.0), SLOPE)


class _PlainConstriction(SpatialConstriction):
    def forward(self, x: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        masks = self.masks(x)
        scales, shifts = (latents[:, :, None] * self.style_weight + self.style_bias).chunk(2, dim=2)
        return blend_styles(x, masks, scales, shifts), masks


class PlainRectangles(_PlainConstriction, RectangleConstriction):
    pass


class PlainSoftmax(_PlainConstriction, SoftmaxConstriction):
    pass


def blend_styles(x: Tensor, masks: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
    """The closed form of the blend with the instance norm as a layer of its own."""
    kept = torch.ones_like(masks[:, 0])
    weights = []
    for mask in reversed(masks.unbind(1)):
        weights.append(mask * kept)
        kept = kept * (1 - mask)
    weight = torch.stack(weights[::-1], dim=1).flatten(2)  # [B, m, HW]
    styles = torch.cat([scales + 1, shifts], dim=2).transpose(1, 2)  # [B, 2C, m]
    scale, shift = (styles @ weight).unflatten(2, x.shape[2:]).chunk(2, dim=1)
    return x * kept[:, None] + instance_norm(x) * scale + shift


class PlainGenerator(Generator):
    def forward(self, latents: Tensor, return_masks: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        x, masks = self.const.expand(len(latents), -1, -1, -1), []
        for block, part in zip(self.blocks, latents.split([s.num_latents for s in self.specs[1:]], dim=1), strict=True):
            if isinstance(block, SpatialConstriction):
                x, mask = block(x, part)
                masks.append(mask)
            else:
                x = block(x, part) if isinstance(block, ModulatedConv) else block(x)
        images = self.to_rgb(x)
        return (images, masks) if return_masks else images


class PlainResidualDown(ResidualDown):
    def forward(self, x: Tensor) -> Tensor:
        return (self.conv1(self.conv0(x)) + self.skip(x)) * math.sqrt(0.5)

    def unfold(self) -> None:
        """The sum's factor out of the weights again."""
        for conv in (self.conv1, self.skip):
            conv.gain, conv.scale = conv.gain / math.sqrt(0.5), conv.scale / math.sqrt(0.5)


class PlainCritic(Critic):
    def forward(self, images: Tensor, batches: int = 1) -> Tensor:
        x = self.blocks(self.from_rgb(images))
        x = self.conv(append_minibatch_stddev(x)).flatten(1)
        return self.output(self.dense(x))  # type: ignore[no-any-return]


def append_minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """The layer by ``var``; for batches that ``group`` divides, or smaller ones."""
    batch, _, height, width = x.shape
    group = min(group, batch)
    deviation = (x.reshape(group, batch // group, -1).var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=1)
    feature = deviation.repeat(group)[:, None, None, None].expand(batch, 1, height, width)
    return torch.cat([x, feature], dim=1)


class PlainGAN(DisentanglingGAN):
    def _scores(self, fakes: Tensor, reals: Tensor) -> tuple[Tensor, Tensor]:
        return self.discriminator(self._shown_to_d(fakes)), self.discriminator(self._shown_to_d(reals))


_PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    EqualizedConv2d: PlainConv2d,
    ModulatedConv: PlainModulatedConv,
    ResidualConvs: PlainResidualConvs,
    ResidualDown: PlainResidualDown,
    RectangleConstriction: PlainRectangles,
    SoftmaxConstriction: PlainSoftmax,
    Generator: PlainGenerator,
    Critic: PlainCritic,
    DisentanglingGAN: PlainGAN,
}


def plain_form(system: DisentanglingGAN) -> DisentanglingGAN:
    """A copy of a system, with the same weights, that computes everything in the plain form."""
    plain = copy.deepcopy(system)
    for module in plain.modules():
        module.__class__ = _PLAIN.get(type(module), type(module))
        if isinstance(module, PlainResidualDown):
            module.unfold()
    return plain


class PlainPyTorchCritic(nn.Module):
    """D's convolutions and its filter as anyone would write them: PyTorch's own layers, nothing else."""

    def __init__(self, resolution: int, channels: int, feature_maps: FeatureMaps) -> None:
        super().__init__()
        levels, nf = int(math.log2(resolution)), feature_maps.at
        self.from_rgb = nn.Conv2d(channels, nf(levels - 1), 1)
        self.blocks = nn.Sequential(*(_PlainPyTorchDown(nf(r - 1), nf(r - 2)) for r in range(levels, 2, -1)))
        self.conv = nn.Conv2d(nf(1), nf(1), 3, padding=1)
        self.dense, self.output = nn.Linear(nf(1) * 4 * 4, nf(0)), nn.Linear(nf(0), 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(F.leaky_relu(self.from_rgb(images), SLOPE))
        x = F.leaky_relu(self.conv(x), SLOPE).flatten(1)
        return self.output(F.leaky_relu(self.dense(x), SLOPE))  # type: ignore[no-any-return]


class _PlainPyTorchDown(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps).expand(inputs, 1, 4, 4).contiguous(), persistent=False)

    def _filter(self, x: Tensor, padding: int) -> Tensor:
        return F.conv2d(x, self.kernel, padding=padding, groups=x.shape[1])  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        main = F.leaky_relu(self.conv0(x), SLOPE)
        main = F.leaky_relu(self.conv1(self._filter(main, padding=2)), SLOPE)
        return (main + self.skip(self._filter(x, padding=1))) * math.sqrt(0.5)


def gradient_difference(system: DisentanglingGAN, device: torch.device | str = "cpu") -> float:
    """Norm of the difference between the gradients of a step and those of its plain form, relative to theirs.

    Of the network where it is largest. The step is the first one, which has R1; no weight moves. It is taken in
    float64: in float32 rounding alone has made it 4e-3.
    """
    gradients, usual = [], torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # of what is drawn, too
    try:
        for form in (copy.deepcopy(system), plain_form(system)):
            step_of(form.to(device, torch.float64), device, learning_rate=0.0)()
            networks = filter(None, (form.generator, form.discriminator, form.recognizer))
            gradients.append([_gradient_of(network) for network in networks])
    finally:
        torch.set_default_dtype(usual)
    return max(float((ours - plain).norm() / plain.norm()) for ours, plain in zip(*gradients, strict=True))


def _gradient_of(network: nn.Module) -> Tensor:
    """Of all parameters, as one vector."""
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def step_of(
    system: DisentanglingGAN, device: torch.device | str, learning_rate: float | None = None, processes: int = 1
) -> Callable[[], None]:
    """One step of a system as its trainer runs it, on images that are there already: this process' part of a batch."""
    optimizers = system.configure_optimizers()
    if learning_rate is not None:
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = learning_rate
    config = system.config
    shape = (config.trainer.batch_size // processes, system.channels, *(config.data.resolution,) * 2)
    reals = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device) * 2 - 1
    return lambda: system.step(reals, *optimizers)
