"""The fast training step against its plain form (wherewhat_pl/bench/baseline.py), and what it rests on."""

import platform
import subprocess
import sys

import pytest
import torch

from tests.conftest import mostly_slow
from wherewhat_pl.bench.baseline import gradient_difference, plain_form
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.layers import append_minibatch_stddev
from wherewhat_pl.system import DisentanglingGAN

MODULES = "model.generator.modules=[Const-8,C_spgroup-2-1,ResConv-up-1,C_spgroup-2-2,Noise-1,Conv-id-1,C_spgroup-1-1]"
LATE = "model.generator.modules=[Const-8,Conv-id-1,Noise-1,ResConv-up-1,C_spgroup-2-2,C_global-1]"


@pytest.mark.parametrize(
    "settings",
    mostly_slow(
        [
            [MODULES],
            [LATE],
            [MODULES, "model.mask=softmax"],
            [MODULES, "model.mask=none"],
            [MODULES, "model.loss=infogan", "trainer.channels_last=false"],
            [MODULES, "model.augment.enabled=true"],
            [MODULES, "model.instance_noise=0.3", "model.recognizer.noise=0.3"],
        ],
        fast=3,
    ),
)
def test_gradients_are_those_of_the_plain_step(tiny, settings):
    """Of a step with R1, relative to each network's gradient, after the weights have left their start."""
    system = DisentanglingGAN(tiny("trainer.batch_size=8", *settings), 3)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in system.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    assert gradient_difference(system) < 1e-11


def test_the_plain_form_has_the_same_weights(tiny):
    system = DisentanglingGAN(tiny(), 3)
    assert system.state_dict().keys() == plain_form(system).state_dict().keys()


@pytest.mark.parametrize("size", [4, 5, 6, 8])
def test_batches_scored_together_are_scored_as_if_alone(size):
    torch.manual_seed(0)
    critic = Critic(8, 3, 1, FeatureMaps(8, 0, 8, 8))
    fakes, reals = torch.randn(2, size, 3, 8, 8)
    together = critic(torch.cat([fakes, reals]), batches=2)
    torch.testing.assert_close(together, torch.cat([critic(fakes), critic(reals)]))


def test_minibatch_stddev_is_the_variance_over_its_group():
    x = torch.randn(8, 3, 4, 4)
    feature = append_minibatch_stddev(x)[:, 3]
    for group in (0, 1):
        members = x[group::2]
        expected = (members.var(dim=0, correction=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(feature[group::2], expected.expand(4, 4, 4))


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_not_asked_of_the_system_again():
    """In a process of its own: without, every block of 16 MB causes 4,096 page faults."""
    program = """
import resource, torch
from wherewhat_pl.memory import keep_freed_memory
def faults():
    for _ in range(20):
        torch.ones(4 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
assert keep_freed_memory()
print(-faults() + faults())
"""
    faults = int(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
    assert faults < 20 * 4096 / 4
