import math

import pytest
import torch

from wherewhat_pl import losses
from wherewhat_pl.augment import AUGMENTATIONS, AdaptiveAugment
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.system import DisentanglingGAN
from wherewhat_pl.train import train


def at_probability(value):
    augment = AdaptiveAugment()
    augment.probability.fill_(value)
    return augment


def test_at_probability_0_images_come_out_bit_for_bit_as_they_went_in():
    images = torch.randn(6, 3, 16, 16)
    assert at_probability(0.0)(images).equal(images)


def test_at_probability_1_every_image_changes():
    images = torch.randn(64, 3, 16, 16)
    assert (at_probability(1.0)(images) != images).flatten(1).any(1).all()


def test_half_the_chosen_images_are_flipped_as_published():
    images = torch.arange(2.0).view(1, 1, 1, 2).expand(20000, 1, 2, 2)  # too small to be shifted
    augmented = at_probability(1.0)(images)
    flipped = augmented[:, 0, 0, 0] > augmented[:, 0, 0, 1]
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.02)


def test_a_shift_moves_whole_pixels_and_mirrors_the_border():
    shift = AUGMENTATIONS[1]
    row = torch.arange(5.0).view(1, 1, 1, 5).expand(3, 1, 2, 5)
    none, some = torch.zeros(3), torch.tensor([0.0, 2.2, -0.8])
    moved = shift(row, params={"translate_x": some, "translate_y": none})
    assert moved[:, 0, 0].tolist() == [[0, 1, 2, 3, 4], [2, 1, 0, 1, 2], [1, 2, 3, 4, 3]]
    column = row.transpose(2, 3)
    assert shift(column, params={"translate_x": none, "translate_y": some}).equal(moved.transpose(2, 3))


def test_shifts_go_up_to_an_eighth_of_the_side():
    images = torch.zeros(2000, 1, 16, 16)
    images[:, :, 8, 8] = 1
    drawn = AUGMENTATIONS[1].forward_parameters(images.shape)
    moved = AUGMENTATIONS[1](images, params=drawn | {"batch_prob": torch.ones(2000)})
    rows, columns = moved.flatten(1).argmax(1) // 16, moved.flatten(1).argmax(1) % 16
    assert set(rows.tolist()) == set(columns.tolist()) == {6, 7, 8, 9, 10}


def test_nothing_waits_for_the_device():
    """Tensors on the meta device have no values, so whoever wanted to see one would fail."""
    augment = AdaptiveAugment().to("meta")
    assert augment(torch.empty(4, 3, 16, 16, device="meta")).shape == (4, 3, 16, 16)


@pytest.mark.slow
def test_second_derivatives_are_those_of_finite_differences():
    images = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    augment = at_probability(1.0).double()

    def repeatable(images):
        torch.manual_seed(0)
        return augment(images).tanh()

    assert torch.autograd.gradcheck(repeatable, (images,))
    assert torch.autograd.gradgradcheck(repeatable, (images,))


def test_r1_reaches_the_discriminator_through_the_augmentation(tiny):
    critic = DisentanglingGAN(tiny(), 3).discriminator
    augment = at_probability(1.0)
    penalty = losses.r1_penalty(lambda images: critic(augment(images)), torch.randn(4, 3, 8, 8)).mean()
    penalty.backward()
    assert critic.from_rgb.weight.grad.abs().sum() > 0


def test_the_probability_rises_while_the_discriminator_is_sure_and_falls_when_it_is_not():
    augment = AdaptiveAugment(target=0.6, speed_kimg=1.0)
    seen = []
    for scores in [torch.ones(8)] * 3 + [torch.tensor([1.0, -1.0])] * 2:
        augment.observe(scores)
        augment.adjust(batch_size=10)  # four batches of 10 images are a 25th of 1000
        seen.append(augment.probability.item())
    assert seen == pytest.approx([0.04, 0.08, 0.12, 0.08, 0.04])


def test_the_probability_stays_between_0_and_1():
    augment = AdaptiveAugment(speed_kimg=0.001)
    for score, expected in ((-1.0, 0.0), (1.0, 1.0), (1.0, 1.0)):
        augment.observe(torch.full((4, 1), score))
        augment.adjust(batch_size=4)
        assert augment.probability == expected


def test_it_is_off_by_default_and_then_leaves_no_trace(tiny):
    system = DisentanglingGAN(tiny(), 3)
    assert system.augment is None
    assert not [name for name in system.state_dict() if "augment" in name]


def test_a_checkpoint_holds_the_probability_and_what_steers_it_alone(tiny):
    system = DisentanglingGAN(tiny("model.augment.enabled=true"), 3)
    names = {name for name in system.state_dict() if "augment" in name}
    assert names == {"augment.probability", "augment.sign_sum", "augment.sign_count"}


def test_only_the_discriminator_sees_augmented_images(tiny, monkeypatch):
    system = DisentanglingGAN(tiny("model.augment.enabled=true"), 3)
    seen = {"discriminator": [], "recognizer": []}
    for name, inputs in seen.items():
        network = getattr(system, name)
        network.register_forward_pre_hook(lambda _, given, inputs=inputs: inputs.append(given[0]))
    monkeypatch.setattr(AdaptiveAugment, "forward", lambda _, images: images * 0 + 0.5)
    system.generator_losses(*system.draw(4))
    system.discriminator_losses(*torch.zeros(2, 4, 3, 8, 8))
    # fakes for G; fakes and reals at once for D; R1 calls forward itself
    assert [len(images) for images in seen["discriminator"]] == [4, 8]
    assert all((images == 0.5).all() for images in seen["discriminator"])
    assert not any((images == 0.5).all() for images in seen["recognizer"])


@pytest.mark.slow
def test_a_continued_run_equals_an_uninterrupted_one_augmentation_included(tiny):
    """Stopped at 12 images, before the first adjustment but with signs counted, then continued to 24."""
    settings = ("model.augment.enabled=true", "model.augment.speed_kimg=0.1", "model.augment.target=-0.9")
    whole = tiny(*settings, "run.name=whole", "trainer.max_kimg=0.024")
    assert train(whole, []) == 0
    assert train(tiny(*settings, "trainer.max_kimg=0.012"), []) == 0
    continued = tiny(*settings, "trainer.max_kimg=0.024")
    assert train(continued, []) == 0
    one, other = (load_checkpoint(RunDir.of(config).last_checkpoint)["state_dict"] for config in (whole, continued))
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
    assert 0 < one["augment.probability"] <= 1
    rows = RunDir.of(whole).metrics_file.read_text()
    assert "discriminator/augment_probability" in rows
    assert not math.isnan(one["augment.sign_sum"].item())
