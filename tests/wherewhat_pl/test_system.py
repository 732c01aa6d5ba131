import copy
import math

import pytest
import torch

from tests.conftest import mostly_slow
from tests.wherewhat_pl.conftest import plain_trainer
from wherewhat_pl import losses
from wherewhat_pl.config import check_divisible
from wherewhat_pl.errors import ConfigError, NonFiniteError
from wherewhat_pl.run.build import data_for
from wherewhat_pl.system import DisentanglingGAN


def fit(config, steps, system=None):
    """A few steps without anything around them."""
    data = data_for(config)
    system = system or DisentanglingGAN(config)
    trainer = plain_trainer(max_steps=steps, precision=config.trainer.precision)
    trainer.fit(system, data)
    return system


@pytest.mark.parametrize("loss", ["ps", "infogan", "gan"])
@pytest.mark.parametrize("mask", mostly_slow(["rectangles", "softmax", "none"], fast=2))
def test_every_cell_of_the_grid_trains(tiny, mask, loss):
    config = tiny(f"model.mask={mask}", f"model.loss={loss}")
    before = DisentanglingGAN(config, 3)
    system = fit(config, 2)
    assert system.images_seen == 8
    assert (system.recognizer is None) == (loss == "gan")
    for name in ("generator", "discriminator") + (("recognizer",) if loss != "gan" else ()):
        for (key, new), old in zip(
            getattr(system, name).named_parameters(), getattr(before, name).parameters(), strict=True
        ):
            assert new.isfinite().all()
            assert not torch.equal(new, old), f"{name}.{key} did not move"


def test_bf16_trains(tiny):
    system = fit(tiny("trainer.precision=bf16-mixed"), 2)
    assert all(math.isfinite(value) for value in system.read_losses().values())


def test_fakes_in_bf16_come_from_the_weights_that_have_moved(tiny):
    """Autocast keeps what it has rounded until its region ends: here after a whole step, in whose middle G moves."""
    system = DisentanglingGAN(tiny(), 3).eval()  # with the same noise at every call
    optimizers = system.configure_optimizers()
    optimizers[0].param_groups[0]["lr"] = 0.5
    drawn, fakes = [], []
    sample_latents, scores = system.sample_latents, system._scores
    system.sample_latents = lambda count: drawn.append(sample_latents(count)) or drawn[-1]
    system._scores = lambda *images: fakes.append(images[0]) or scores(*images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        system.step(torch.zeros(4, 3, 8, 8), *optimizers)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fakes[0], system.generator(drawn[-1]))


def test_compiled_networks_have_the_same_parameter_names(tiny):
    system = DisentanglingGAN(tiny(), 3)
    names = set(system.state_dict())
    system.compile_networks(backend="aot_eager")
    assert set(system.state_dict()) == names


@pytest.mark.slow
def test_compiled_networks_take_the_same_step(tiny):
    """Captured forward and backward graphs, with R1 beside them; only the generation of machine code is left out."""
    config = tiny("trainer.channels_last=false")
    plain, compiled = DisentanglingGAN(config, 3), DisentanglingGAN(config, 3)
    compiled.compile_networks(backend="aot_eager")
    fit(config, 1, plain)
    fit(config, 1, compiled)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        ["model.prior=uniform"],
        ["model.ps.cascade_kimg=0.004"],
        ["model.ema.recognizer=true"],
        ["model.ps.pairs=0.5"],
        ["model.optimizer.falling=1"],
    ],
)
def test_variants_train(tiny, settings):
    assert fit(tiny(*settings), 2).images_seen == 8


def test_uniform_latents_fill_their_interval(tiny):
    latents = DisentanglingGAN(tiny("model.prior=uniform"), 3).sample_latents(2000)
    assert latents.abs().max() <= 2
    assert latents.abs().mean() == pytest.approx(1.0, abs=0.05)


def test_cascade_steps_through_the_dimensions(tiny):
    system = DisentanglingGAN(tiny("model.ps.cascade_kimg=0.004"), 3)
    seen = []
    for system.images_seen in range(0, 16, 4):
        dimensions, _ = system.sample_perturbation(5)
        assert len(set(dimensions.tolist())) == 1
        seen.append(dimensions[0].item())
    assert seen == [0, 1, 2, 0]


def test_random_epsilon_has_the_published_spread(tiny):
    system = DisentanglingGAN(tiny("model.ps.random_epsilon=true", "model.ps.epsilon=3"), 3)
    _, epsilon = system.sample_perturbation(20000)
    assert epsilon.std().item() == pytest.approx(6.0, rel=0.05)


@pytest.mark.parametrize(("first", "late"), [("coarse", [2]), ("fine", [0, 1])])
def test_modules_latents_come_one_after_another(tiny, first, late):
    settings = ("model.progressive_kimg=0.01", "model.prior=uniform", "model.ps.random_epsilon=false")
    system = DisentanglingGAN(tiny(*settings, f"model.progressive_first={first}"), 3)  # modules of two latents and one
    for system.images_seen, share in ((0, 0), (8, 0), (12, 0.2), (18, 0.8), (20, 1), (40, 1)):
        shares = torch.ones(3).index_fill(0, torch.tensor(late), share)
        reach = system.sample_latents(4000).abs().amax(0)
        torch.testing.assert_close(reach, 2 * shares, atol=0.02, rtol=0)
        dimensions, epsilon = system.sample_perturbation(100)
        assert set(dimensions.tolist()) == {0, 1, 2} - (set() if share else set(late))
        torch.testing.assert_close(epsilon, 3 * shares[dimensions])


def test_a_cascade_goes_round_the_latents_that_are_there(tiny):
    settings = ("model.progressive_kimg=0.01", "model.ps.cascade_kimg=0.004", "model.progressive_first=fine")
    system = DisentanglingGAN(tiny(*settings), 3)
    seen = []
    for system.images_seen in (0, 4, 8, 12, 16, 20):
        seen.append(system.sample_perturbation(1)[0].item())
    assert seen == [2, 2, 2, 0, 1, 2]


@pytest.mark.parametrize("loss", ["ps", "infogan"])
@pytest.mark.parametrize(("first", "there"), [("coarse", [True, True, False]), ("fine", [False, False, True])])
def test_codes_of_latents_that_are_still_to_come_are_left_free(tiny, loss, first, there):
    system = DisentanglingGAN(
        tiny(f"model.loss={loss}", "model.progressive_kimg=0.01", f"model.progressive_first={first}"), 3
    )
    for system.images_seen, learned in ((0, there), (12, [True, True, True])):
        system.zero_grad()
        system.generator_losses(*system.draw(4))[1].backward()
        assert (system.recognizer.output.weight.grad.abs().sum(1) > 0).tolist() == learned


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("reused", [True, False])
def test_fakes_are_drawn_anew_for_the_discriminator_or_are_those_of_the_generator_phase(tiny, reused, accumulate):
    settings = [f"model.reuse_fakes={reused}", f"trainer.accumulate={accumulate}", "trainer.batch_size=8"]
    system = DisentanglingGAN(tiny(*settings), 3)
    drawn, seen = [], []
    system.generator.register_forward_hook(lambda _, given, images: drawn.append(images.detach()))
    system.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    reals = torch.zeros(8, 3, 8, 8)
    for _ in range(2):
        drawn.clear()
        seen.clear()
        system.generator_phase(reals)
        system.discriminator_phase(reals)
        assert len(drawn) == (accumulate if reused else 2 * accumulate)
        of_g, of_d = seen[:accumulate], [images[: 8 // accumulate] for images in seen[accumulate:]]
        assert all(one.equal(other) == reused for one, other in zip(of_g, of_d, strict=True))


@pytest.mark.parametrize("loss", ["ps", "infogan", "gan"])
def test_steps_are_taken_from_half_the_places_along_two_latents_each(tiny, loss):
    """They ask for no more images than there are; D scores none of them, and Q reads none."""
    system = DisentanglingGAN(tiny("model.isometry.weight=1", "model.isometry.step=0.3", f"model.loss={loss}"), 3)
    seen = {}
    for name in ("generator", "discriminator", *(["recognizer"] if system.recognizer else [])):
        getattr(system, name).register_forward_pre_hook(lambda _, given, name=name: seen.__setitem__(name, given[0]))
    latents, *drawn, directions = system.draw(8)
    isometry = system.generator_losses(latents, *drawn, directions)[2]
    pairs = 8 if loss == "ps" else 0
    read = {"ps": {"recognizer": 16}, "infogan": {"recognizer": 8}, "gan": {}}[loss]
    assert {name: len(given) for name, given in seen.items()} == {"generator": 16 + pairs, "discriminator": 8, **read}
    steps = seen["generator"][8 + pairs :].view(4, 2, 3) - latents[:4, None]
    along = torch.nn.functional.one_hot(directions[:4], 3)
    torch.testing.assert_close(steps, -0.3 * latents[:4, None].sign() * along)
    assert (directions[:, 0] != directions[:, 1]).all()
    isometry.backward()
    assert all(parameter.grad is not None for parameter in system.generator.parameters())


def test_steps_are_along_latents_that_are_there_and_as_long_as_their_share(tiny):
    settings = ("model.progressive_kimg=0.01", "model.progressive_first=fine", "model.isometry.weight=1")
    system = DisentanglingGAN(tiny(*settings), 3)  # modules of two latents and one
    for system.images_seen, there, share in ((0, {2}, 0), (12, {0, 1, 2}, 0.2), (40, {0, 1, 2}, 1)):
        latents, *_, directions = system.draw(64)
        assert set(directions.flatten().tolist()) == there
        sizes = system._steps(latents, directions) - latents[: 64 // directions.shape[1]].repeat_interleave(
            directions.shape[1], 0
        )
        torch.testing.assert_close(sizes.abs().amax(0), 0.5 * torch.tensor([share, share, 1.0]))


def test_lazy_r1_corrects_the_discriminators_adam(tiny):
    ratio = 16 / 17
    generator_adam, discriminator_adam = DisentanglingGAN(tiny(), 3).configure_optimizers()
    assert generator_adam.defaults["lr"] == 0.002
    assert generator_adam.defaults["betas"] == (0.0, 0.99)
    assert discriminator_adam.defaults["lr"] == pytest.approx(0.002 * ratio)
    assert discriminator_adam.defaults["betas"] == pytest.approx((0.0, 0.99**ratio))


def test_reference_preset_corrects_the_generators_adam_as_published(tiny):
    config = tiny("reference=true", "model.optimizer.generator_interval=4")
    generator_adam, _ = DisentanglingGAN(config, 3).configure_optimizers()
    assert generator_adam.defaults["lr"] == pytest.approx(0.002 * 4 / 5)
    assert generator_adam.defaults["betas"] == pytest.approx((0.0, 0.99 ** (4 / 5)))


def test_the_discriminators_rate_can_differ(tiny):
    _, discriminator_adam = DisentanglingGAN(tiny("model.optimizer.critic_ratio=0.5"), 3).configure_optimizers()
    assert discriminator_adam.defaults["lr"] == pytest.approx(0.001 * 16 / 17)


def test_rates_fall_to_nothing_in_the_last_share_of_the_training(tiny):
    system = DisentanglingGAN(tiny("model.optimizer.falling=0.25", "trainer.max_kimg=1"), 3)
    rates = []
    for system.images_seen in (0, 740, 750, 875, 1000, 1200):
        rates.append(system._rate)
    assert rates == pytest.approx([1, 1, 1, 0.5, 0, 0])


@pytest.mark.parametrize(
    ("weight", "final", "of"),
    [
        ("r1.gamma", "r1.final_gamma", DisentanglingGAN._gamma),
        ("isometry.weight", "isometry.final_weight", DisentanglingGAN._isometry_weight),
    ],
)
def test_weights_fall_with_the_rates(tiny, weight, final, of):
    settings = ("trainer.max_kimg=1", "model.optimizer.falling=0.5", f"model.{weight}=4")
    weights = []
    for end in ("null", "0.04"):
        system = DisentanglingGAN(tiny(*settings, f"model.{final}={end}"), 3)
        for system.images_seen in (0, 500, 750, 1000):
            weights.append(of.fget(system))
    assert weights == pytest.approx([4, 4, 4, 4, 4, 4, 0.4, 0.04])


def test_a_share_of_the_batch_is_perturbed_and_recognized(tiny):
    """G draws the batch and the pairs' second images, D scores the batch, Q reads the pairs."""
    system = DisentanglingGAN(tiny("model.ps.pairs=0.5"), 3)
    seen = {}
    for name in ("generator", "discriminator", "recognizer"):
        getattr(system, name).register_forward_pre_hook(
            lambda _, given, name=name: seen.__setitem__(name, len(given[0]))
        )
    system.generator_losses(*system.draw(8))
    assert seen == {"generator": 12, "discriminator": 8, "recognizer": 8}


def test_r1_is_due_every_sixteenth_batch(tiny):
    system = DisentanglingGAN(tiny(), 3)
    due = []
    for batch in range(33):
        system.images_seen = batch * 4
        if system._is_r1_step:
            due.append(batch)
    assert due == [0, 16, 32]


def test_due_times_are_multiples_of_the_interval_whatever_the_batch(tiny):
    system = DisentanglingGAN(tiny("trainer.batch_size=12"), 3)
    due = []
    for system.images_seen in range(12, 121, 12):
        if system.is_due(interval_kimg=0.03):
            due.append(system.images_seen)
    assert due == [36, 60, 96, 120]  # the batches that reach 30, 60, 90 and 120


def test_average_has_its_half_life_in_images(tiny):
    """After a half-life of constant weights the average is half way."""
    system = DisentanglingGAN(tiny("model.ema.halflife_kimg=0.04"), 3)
    start = copy.deepcopy(system.generator_ema.to_rgb.weight)
    with torch.no_grad():
        system.generator.to_rgb.weight.add_(1.0)
    for _ in range(10):  # 10 batches of 4 images are 0.04 kimg
        system._update_averages()
    torch.testing.assert_close(system.generator_ema.to_rgb.weight, start + 0.5)


def test_one_step_is_the_step_of_the_method(tiny):
    """The same step written out: fresh latents, pair, R1 times its interval, two Adams."""
    config = tiny(
        "model.r1.gamma=2",
        "trainer.channels_last=false",
        "model.generator.modules=[Const-4,ResConv-up-1,C_spgroup-2-3]",
    )
    system = DisentanglingGAN(config, 3)
    generator, discriminator, recognizer = (
        copy.deepcopy(n) for n in (system.generator, system.discriminator, system.recognizer)
    )
    fit(config, 1, system)

    from data_modules.randomness import seed_for

    reals = data_for(config)
    reals.setup()
    images = reals.training_batch(0)
    torch.manual_seed(seed_for(config.seed, "step", 0, 0))
    ratio = 16 / 17
    players = [*generator.parameters(), *recognizer.parameters()]
    first = torch.optim.Adam(players, lr=0.002, betas=(0.0, 0.99), eps=1e-8)
    second = torch.optim.Adam(discriminator.parameters(), lr=0.002 * ratio, betas=(0.0, 0.99**ratio), eps=1e-8)
    latents, dimensions = torch.randn(4, 3), torch.randint(3, (4,))
    perturbed = losses.perturb(latents, dimensions, 3 * 2 * torch.randn(4))
    fakes, moved = generator(latents), generator(perturbed)
    codes = recognizer(torch.cat([fakes, moved]))
    ps = losses.perceptual_simplicity(latents, perturbed, *codes.chunk(2), dimensions).mean()
    loss = torch.nn.functional.softplus(-discriminator(fakes)).mean() + config.model.ps.weight * ps
    loss.backward()
    first.step()
    second.zero_grad()
    fakes = generator(torch.randn(4, 3)).detach()
    r1 = losses.r1_penalty(discriminator, images).mean()
    softplus = torch.nn.functional.softplus
    (softplus(discriminator(fakes)).mean() + softplus(-discriminator(images)).mean() + 16 * 2 / 2 * r1).backward()
    second.step()
    for ours, expected in (
        (system.generator, generator),
        (system.recognizer, recognizer),
        (system.discriminator, discriminator),
    ):
        for new, old in zip(ours.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-5)


def test_losses_are_means_over_the_batches_since_the_last_reading(tiny, monkeypatch):
    system = DisentanglingGAN(tiny("logger.interval_kimg=1"), 3)
    monkeypatch.setattr(system, "log_losses", lambda: None)
    fit(system.config, 3, system)
    means = system.read_losses()
    assert {"generator_adversarial", "discriminator_adversarial", "ps", "ps_paper_form", "r1"} <= means.keys()
    assert means["ps_paper_form"] == pytest.approx(means["ps"] * 2 / 3)  # n = 3
    assert system.read_losses() == {}


def test_a_term_that_is_not_finite_is_named(tiny):
    system = fit(tiny(), 1)
    system._sums[0] = math.nan
    with pytest.raises(NonFiniteError, match="generator_adversarial is nan"):
        system.read_losses()
    system._sums.zero_()
    with torch.no_grad():
        system.discriminator.output.weight[0, 0] = math.inf
    with pytest.raises(NonFiniteError, match="weights of discriminator"):
        system.require_finite()


def test_networks_must_draw_the_datas_resolution(tiny):
    with pytest.raises(ValueError, match=r"data.resolution=16: model.generator.modules draws 8 px"):
        DisentanglingGAN(tiny("data.resolution=16"), 3)


@pytest.mark.parametrize(
    "settings", mostly_slow([[], ["model.loss=infogan"], ["model.loss=gan", "model.mask=softmax"]], fast=1)
)
def test_a_batch_in_parts_gives_the_gradients_of_the_whole(tiny, settings):
    """Minibatch statistics included, since a group of four stays together; without noise, whose maps are drawn anew."""
    modules = "model.generator.modules=[Const-4,ResConv-up-1,C_spgroup-2-2,C_spgroup-1-1]"
    gradients = []
    for parts in (1, 2, 4):
        config = tiny(modules, "trainer.batch_size=16", f"trainer.accumulate={parts}", *settings)
        system = DisentanglingGAN(config, 3)
        optimizers = system.configure_optimizers()
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = 0.0  # D is seen at the same weights
        reals = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
        system.step(reals, *optimizers)
        networks = [system.generator, system.discriminator, system.recognizer]
        gradients.append([p.grad.clone() for network in networks if network is not None for p in network.parameters()])
        sums = system._sums.clone()
        gradients[-1].append(sums)
    for parted in gradients[1:]:
        for ours, whole in zip(parted, gradients[0], strict=True):
            torch.testing.assert_close(ours, whole, rtol=1e-4, atol=1e-6)


def test_parts_that_would_cut_a_group_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"trainer.batch_size=12.*2 parts of whole groups of four; try 8 or 16"):
        check_divisible(12, 1, 2)
    with pytest.raises(ConfigError, match=r"model.ps.pairs=0.5: must be 1 with trainer.accumulate=2"):
        tiny("model.ps.pairs=0.5", "trainer.accumulate=2")
