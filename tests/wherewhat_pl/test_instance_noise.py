import pytest
import torch

from wherewhat_pl.instance_noise import add_smooth_noise
from wherewhat_pl.system import DisentanglingGAN


def noise(count=2, size=16, std=1.0):
    return add_smooth_noise(torch.zeros(count, 3, size, size), std)


def test_every_image_and_channel_has_a_field_of_its_own():
    fields = noise().flatten(0, 1)
    assert len(fields.unique(dim=0)) == 6


def test_each_of_its_two_parts_has_the_deviation_asked_for():
    corners = noise(20_000, size=4, std=0.3)[:, 0, 0, [0, 3]]
    assert corners.std().item() == pytest.approx(0.3 * 2**0.5, rel=0.03)
    covariance = torch.cov(corners.T)[0, 1].item()
    assert covariance == pytest.approx(0.09, rel=0.1), "what two corners share is the part that is the same everywhere"


def test_it_is_linear_between_the_values_of_the_grid():
    line = noise(size=16)[..., 0, :]  # values of the grid at pixels 0, 5, 10 and 15
    for start in (0, 5, 10):
        steps = line[..., start : start + 6].diff(dim=-1)
        assert torch.allclose(steps, steps[..., :1].expand_as(steps), atol=1e-5)


def test_it_is_added():
    images = torch.randn(2, 3, 8, 8)
    torch.manual_seed(0)
    alone = noise(size=8)
    torch.manual_seed(0)
    assert torch.allclose(add_smooth_noise(images, 0.5), images + 0.5 * alone)


def test_nothing_waits_for_the_device():
    images = torch.empty(4, 3, 16, 16, device="meta", dtype=torch.bfloat16)
    noised = add_smooth_noise(images, 0.3)
    assert (noised.shape, noised.dtype) == (images.shape, images.dtype)


def seen_by(system):
    seen = {"discriminator": [], "recognizer": []}
    for name, inputs in seen.items():
        network = getattr(system, name)
        network.register_forward_pre_hook(lambda _, given, inputs=inputs: inputs.append(given[0].detach()))
    torch.manual_seed(0)
    system.generator_losses(*system.draw(4))
    system.discriminator_losses(*torch.zeros(2, 4, 3, 8, 8))
    return seen


def test_only_the_discriminator_sees_it_and_it_sees_it_on_reals_and_fakes(tiny):
    plain = seen_by(DisentanglingGAN(tiny(), 3))
    noised = seen_by(DisentanglingGAN(tiny("model.instance_noise=0.3"), 3))
    assert noised["recognizer"][0].equal(plain["recognizer"][0])
    assert not noised["discriminator"][0].equal(plain["discriminator"][0])
    reals = noised["discriminator"][1][4:]
    assert len(reals.flatten(1).unique(dim=0)) == 4, "the images were all alike"
    assert plain["discriminator"][1][4:].equal(torch.zeros(4, 3, 8, 8))


@pytest.mark.parametrize("loss", ["ps", "infogan"])
def test_the_recognizer_sees_noise_of_its_own_in_training(tiny, loss):
    plain = seen_by(DisentanglingGAN(tiny(f"model.loss={loss}"), 3))
    noised = seen_by(DisentanglingGAN(tiny(f"model.loss={loss}", "model.recognizer.noise=0.3"), 3))
    added = noised["recognizer"][0] - plain["recognizer"][0]
    assert added.std().item() == pytest.approx(0.3, rel=0.15)
    assert noised["discriminator"][0].equal(plain["discriminator"][0])


def test_a_trained_recognizer_reads_images_as_they_are(tiny):
    model = DisentanglingGAN(tiny("model.recognizer.noise=0.3"), 3).model()
    images = torch.randn(4, 3, 8, 8)
    assert model.encode(images).equal(model.encode(images))
