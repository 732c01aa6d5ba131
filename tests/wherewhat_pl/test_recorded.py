"""Steps recorded as CUDA graphs: the same numbers as without, on a GPU only."""

import copy

import pytest
import torch

from tests.conftest import mostly_slow
from wherewhat_pl.bench.baseline import step_of
from wherewhat_pl.config import load_config
from wherewhat_pl.recorded import Recordings
from wherewhat_pl.system import DisentanglingGAN

STEPS = 20  # more than one interval of R1

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def system_of(*overrides: str) -> DisentanglingGAN:
    settings = ["trainer.cuda_graphs=true", "model.progressive_kimg=null", *overrides]
    return DisentanglingGAN(load_config("shapes3d_quick", settings))


@pytest.mark.parametrize(
    ("overrides", "recorded"),
    [
        ((), True),
        (("trainer.cuda_graphs=false",), False),
        (("model.augment.enabled=true",), False),
        (("model.ps.cascade_kimg=1",), False),
        (("model.r1.final_gamma=0.1",), False),
        (("model.isometry.weight=1",), True),
        (("model.isometry.weight=1", "model.isometry.final_weight=0.1"), False),
        (("model.progressive_kimg=1",), False),
    ],
)
def test_a_gpu_records_steps_that_are_all_alike(monkeypatch, overrides, recorded):
    system = system_of(*overrides)
    assert not system._is_recorded  # on a CPU
    monkeypatch.setattr(DisentanglingGAN, "device", torch.device("cuda"))
    assert system._is_recorded == recorded
    system.images_seen = 3000
    assert system._is_recorded == (recorded or overrides == ("model.progressive_kimg=1",)), "all latents are there"


def test_a_copy_has_nothing_recorded():
    recordings = Recordings()
    recordings._by_name["generator"] = None
    assert not copy.deepcopy(recordings)._by_name


@pytest.mark.parametrize(
    "overrides",
    mostly_slow(
        [("model.isometry.weight=1",), ("model.isometry.weight=1", "model.mask=softmax", "trainer.accumulate=2")], 1
    ),
)
def test_phases_ask_the_device_for_nothing(overrides):
    """Meta tensors have no values: whatever would wait for one fails."""
    system = system_of(*overrides).to("meta")
    for images_seen in (0, 16):  # with R1 and without
        system.images_seen = images_seen
        reals = torch.empty(16, 3, 16, 16, device="meta")
        assert system.generator_phase(reals).shape == (3,)
        assert system.discriminator_phase(reals).shape == (4,)


@needs_cuda
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.isometry.weight=1",),
        ("model.loss=infogan",),
        ("model.loss=gan",),
        ("trainer.accumulate=2",),
        ("model.ps.pairs=0.5",),
    ],
)
def test_replayed_steps_are_the_steps(overrides):
    torch.use_deterministic_algorithms(True, warn_only=True)
    weights = []
    for recorded in ("false", "true"):
        system = system_of(f"trainer.cuda_graphs={recorded}", *overrides).cuda()
        assert system._is_recorded == (recorded == "true")
        step = step_of(system, "cuda")
        for _ in range(STEPS):
            step()
        means = torch.tensor(list(system.read_losses().values()))
        weights.append(torch.cat([means.cpu(), *(p.detach().flatten().cpu() for p in system.parameters())]))
    eager, replayed = weights
    torch.testing.assert_close(replayed, eager, rtol=1e-3, atol=1e-3)


@needs_cuda
def test_what_asks_the_device_is_refused_and_leaves_the_random_numbers_alone():
    weight = torch.nn.Parameter(torch.ones(3, device="cuda"))

    def asks() -> torch.Tensor:
        total = weight.sum() * torch.rand((), device="cuda")
        total.backward()
        return total * float(total)

    state = torch.cuda.get_rng_state()
    with pytest.raises(RuntimeError):
        Recordings().run("asks", asks, [weight])
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert float(torch.ones(3, device="cuda").sum()) == 3
