"""``make bench``: claims of speed as ratios, both sides measured in turn in one run on the same machine."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

from wherewhat_pl import losses
from wherewhat_pl.bench.baseline import PlainPyTorchCritic, gradient_difference, plain_form, step_of
from wherewhat_pl.bench.metrics import metrics_benchmark
from wherewhat_pl.bench.photographs import benchmark
from wherewhat_pl.bench.synthetic import benchmark_batches
from wherewhat_pl.bench.timing import paired_seconds, repeat, times_as_fast
from wherewhat_pl.config import load_config
from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.launch.cost import count_cost
from wherewhat_pl.networks import resample
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.layers import instance_norm
from wherewhat_pl.networks.masks import blend_styles
from wherewhat_pl.system import DisentanglingGAN

Lines = Iterator[str]  #: each benchmark yields the lines it prints


def run_benchmarks(only: list[str] | None = None) -> int:
    """Run all benchmarks, or those named, printing as they go; returns 0."""
    for name in only or BENCHMARKS:
        if name not in BENCHMARKS:
            raise ConfigError(f"only={name}: no such benchmark{suggestion(name, list(BENCHMARKS))}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {where}")
    for name in only or BENCHMARKS:
        print(f"\n{name}: {(BENCHMARKS[name].__doc__ or '').splitlines()[0]}", flush=True)
        for line in BENCHMARKS[name](torch.device(device)):
            print(f"  {line}", flush=True)
    return 0


def bench_constriction(device: torch.device) -> Lines:
    """spatial constriction, closed form against the loop over latents (forward and backward)"""
    for m, channels, side in ((4, 24, 16), (5, 256, 32), (16, 64, 32)):
        x = torch.randn(8, channels, side, side, device=device, requires_grad=True)
        masks = torch.rand(8, m, side, side, device=device, requires_grad=True)
        scales, shifts = torch.randn(2, 8, m, channels, device=device).requires_grad_()
        inputs = [x, masks, scales, shifts]
        seconds = paired_seconds(
            {blend.__name__: partial(_gradients, blend, inputs, inputs) for blend in (blend_in_a_loop, blend_styles)}
        )
        yield times_as_fast(f"{m} latents, [8, {channels}, {side}, {side}]", *seconds.values())


def _gradients(function: Callable[..., Tensor], inputs: Sequence[Any], weights: Sequence[Tensor]) -> object:
    """Forward and backward; R1 does not depend on all of D's weights."""
    return grad(function(*inputs).sum(), weights, allow_unused=True)


def blend_in_a_loop(x: Tensor, masks: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
    """The published definition of the blend, one latent after another: the baseline."""
    normalized = instance_norm(x)
    for k in range(masks.shape[1]):
        styled = normalized * (scales[:, k, :, None, None] + 1) + shifts[:, k, :, None, None]
        mask = masks[:, k : k + 1]
        x = x * (1 - mask) + styled * mask
    return x


def bench_r1(device: torch.device) -> Lines:
    """R1 and its gradient, the filter as a function of its own against a plain grouped convolution"""
    for side, channels in ((16, 24), (32, 64), (64, 128)):
        critic = Critic(side, 3, 1, FeatureMaps(channels, 0, channels, channels)).to(device)
        images = torch.randn(4, 3, side, side, device=device)
        ours = partial(_gradients, losses.r1_penalty, [critic, images], list(critic.parameters()))
        grouped = patch.object(resample, "resample_filter", _grouped_filter)(ours)
        seconds = paired_seconds({"grouped": grouped, "filter": ours}, rounds=5)
        yield times_as_fast(f"{side} px, {channels} channels", *seconds.values())


def _grouped_filter(x: Tensor, padding: int, gain: float = 1.0, stride: int = 1, bias: Tensor | None = None) -> Tensor:
    taps = torch.tensor(resample.TAPS, dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps) * (gain / taps.sum() ** 2)
    return F.conv2d(x, kernel.expand(x.shape[1], 1, 4, 4), bias, padding=padding, stride=stride, groups=x.shape[1])


def bench_step(device: torch.device) -> Lines:
    """training steps against their plain form, and their share of the device's own matrix-product peak"""
    for experiment in ("shapes3d_quick", "dsprites_quick", "shapes3d"):
        if experiment == "shapes3d" and device.type == "cpu":
            yield "shapes3d: not run on a CPU (minutes per step)"
            continue
        config = load_config(experiment)
        if config.trainer.threads and device.type == "cpu":
            torch.set_num_threads(config.trainer.threads)
        peak = matmul_peak(device)
        system = DisentanglingGAN(config)
        gflop = count_cost(system).iteration
        system.to(device)
        difference = gradient_difference(system, device)
        interval = config.model.r1.interval  # so many steps hold one with R1
        forms = {"plain": plain_form(system), "ours": system}
        steps = {name: partial(repeat, step_of(form, device), interval) for name, form in forms.items()}
        clock = _clock(device)
        seconds = paired_seconds(steps, rounds=5, clock=clock)
        images = config.trainer.batch_size * interval
        rate, unit = images / seconds["ours"], "CPU second" if clock is time.process_time else "second"
        yield (
            f"{experiment}: {rate:.1f} images per {unit} at batch {config.trainer.batch_size}, "
            f"{seconds['plain'] / seconds['ours']:.2f} times the plain step's {images / seconds['plain']:.1f}; "
            f"gradients differ by {difference:.1g}; {gflop:.3g} GFLOP per image, {rate * gflop:.1f} GFLOP/s, "
            f"{rate * gflop * 1e9 / peak:.0%} of a 1024 x 1024 matrix product's {peak / 1e9:.0f}"
        )


def bench_critic(device: torch.device) -> Lines:
    """D, forward and backward, against one in plain PyTorch: no equalized weights, no minibatch statistics"""
    torch.set_num_threads(1)
    for side, channels, batch in ((16, 24, 32), (32, 32, 32), (64, 64, 16)):
        maps = FeatureMaps(channels, 0, channels, channels)
        images = torch.randn(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
        works = {}
        for name, critic in (("ours", Critic(side, 3, 1, maps)), ("plain", PlainPyTorchCritic(side, 3, maps))):
            critic.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            works[name] = partial(_gradients, critic, [images], list(critic.parameters()))
        seconds = paired_seconds(works, clock=_clock(device))
        yield (
            f"{side} px, {channels} channels, batch {batch}: ours {seconds['ours'] * 1e3:.1f} ms, plain PyTorch "
            f"{seconds['plain'] * 1e3:.1f} ms, {seconds['plain'] / seconds['ours']:.2f} of ours"
        )


def bench_memory(device: torch.device) -> Lines:
    """a training step with glibc's thresholds raised, against its own; in processes of their own, on the CPU"""
    if platform.libc_ver()[0] != "glibc":
        yield "another C library: nothing to compare"
        return
    rates: dict[str, list[float]] = {"glibc's own": [], "raised": []}
    for _ in range(3):
        for name, values in rates.items():
            program = _MEMORY_PROGRAM.format(prepare="keep_freed_memory()" if name == "raised" else "")
            values.append(float(subprocess.run([sys.executable, "-c", program], check=True, stdout=-1).stdout))
    own, raised = (statistics.median(values) for values in rates.values())
    times = f"{raised / own:.2f} times as fast as with glibc's own thresholds"
    yield f"shapes3d_quick: {raised:.1f} images per CPU second, {times}"


_MEMORY_PROGRAM = """
import time
import torch
from wherewhat_pl.bench.baseline import step_of
from wherewhat_pl.bench.timing import paired_seconds
from wherewhat_pl.config import load_config
from wherewhat_pl.memory import keep_freed_memory
from wherewhat_pl.system import DisentanglingGAN

torch.set_num_threads(1)
{prepare}
config = load_config("shapes3d_quick")
step = step_of(DisentanglingGAN(config), "cpu")
print(config.trainer.batch_size / paired_seconds(dict(step=step), min_seconds=1, clock=time.process_time)["step"])
"""


def bench_ranks(device: torch.device) -> Lines:
    """two processes that share a batch against one, and what of a step is communication; gloo, on the CPU"""
    batch = load_config("shapes3d_quick").trainer.batch_size
    seconds = {}
    for processes in (1, 2):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        done = subprocess.run([*launcher, "-m", "wherewhat_pl.bench.ranks", "shapes3d_quick"], check=True, stdout=-1)
        times = seconds[processes] = json.loads(done.stdout)
        line = f"shapes3d_quick, {processes} x {batch // processes} images: {batch / times['step']:.1f} images/s"
        if processes > 1:
            line += f", {seconds[1]['step'] / times['step']:.2f} times those of one"
            line += f"; {times['reduction'] / times['step']:.1%} of a step is reduction"
            line += f", {times['waiting'] / times['step']:.1%} with waiting for each other"
        yield line


def matmul_peak(device: torch.device, side: int = 1024) -> float:
    """Floating point operations per second of a float32 matrix product, median of several."""
    a, b = torch.randn(2, side, side, device=device)
    return 2 * side**3 / paired_seconds({"product": lambda: a @ b}, clock=_clock(device))["product"]


def _clock(device: torch.device) -> Callable[[], float]:
    """The CPU's own for work in one of its threads: what else runs on the machine then counts less."""
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def bench_data(device: torch.device) -> Lines:
    """batches of 3DShapes built whole on the device, against h5py with per-sample items and collation"""
    for name, value in benchmark_batches(device=device).items():
        yield f"{name}: {value:,.1f}"


def bench_faces(device: torch.device) -> Lines:
    """photographs: preparing with two processes against one, and the memory map against a DataLoader that decodes"""
    for what, numbers in benchmark(num_images=1024).items():
        yield f"{what}: " + ", ".join(f"{name} {value:,.1f}" for name, value in numbers.items())


def bench_metrics(device: torch.device) -> Lines:
    """disentanglement metrics against the same definitions written down with numpy and scikit-learn; on the CPU"""
    for name, numbers in metrics_benchmark().items():
        compared = times_as_fast(name, numbers["straightforward_s"], numbers["ours_s"])
        yield f"{compared}, values differ by {numbers['difference']:.1g}"


BENCHMARKS: dict[str, Callable[[torch.device], Lines]] = {
    "constriction": bench_constriction,
    "r1": bench_r1,
    "step": bench_step,
    "critic": bench_critic,
    "memory": bench_memory,
    "ranks": bench_ranks,
    "data": bench_data,
    "faces": bench_faces,
    "metrics": bench_metrics,
}
