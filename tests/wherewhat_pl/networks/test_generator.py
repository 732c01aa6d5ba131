import pytest
import torch

from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.networks.module_lists import ModuleSpec, count_latents


def small(modules, channels=3):
    return Generator(modules, channels, FeatureMaps(4, 0, 4, 4), 6)


def test_latents_are_consumed_in_order():
    """A latent changes the picture only if its own entry changes; masks stand in the latents' order."""
    generator = small(["Const-4", "C_global-2", "ResConv-up-1", "C_spgroup-2-3", "C_spgroup_sm-1"]).eval()
    assert (generator.num_latents, generator.resolution) == (6, 8)
    assert generator.masked_latents == [2, 3, 4, 5]
    images, masks = generator(torch.randn(2, 6), return_masks=True)
    assert images.shape == (2, 3, 8, 8)
    assert [tuple(mask.shape) for mask in masks] == [(2, 3, 8, 8), (2, 1, 8, 8)]


def test_each_modules_masks_are_scaled_by_its_own_kind():
    generator = small(["Const-4", "C_spgroup-2-3", "ResConv-up-1", "C_global-1", "C_spgroup_sm-1"]).eval()
    _, masks = generator(torch.randn(2, 5), return_masks=True)
    rectangles, softmax = generator.scaled_masks(masks)
    assert torch.equal(rectangles, masks[0])
    torch.testing.assert_close(softmax, masks[1] / masks[1].amax((2, 3), keepdim=True))


def test_a_masked_latent_acts_under_its_mask_only():
    """With nothing after the SC module but a 1x1 convolution, a zero mask row keeps the picture there."""
    generator = small(["Const-4", "C_spgroup-1-1"]).eval()
    first, second = torch.zeros(1, 1), torch.ones(1, 1)
    with torch.no_grad():
        change = (generator(second) - generator(first)).abs().amax(1)
        _, (mask,) = generator(first, return_masks=True)
    assert (change[mask[:, 0] < 1e-3] < 1e-2 * change.max()).all()


def test_noise_is_fixed_in_evaluation_and_fresh_in_training():
    generator = small(["Const-4", "Noise-1", "C_global-1"])
    with torch.no_grad():
        generator.blocks[0][0].strength.fill_(1.0)
    latents = torch.randn(2, 1)
    assert not torch.equal(generator(latents), generator(latents))
    generator.eval()
    assert torch.equal(generator(latents), generator(latents))


@pytest.mark.parametrize(
    "text", ["C_spg-4", "Conv-4", "Conv-side-1", "Const-0", "Noise", "C_spgroup-4", "C_spgroup-4-0", "ResConv-up-x"]
)
def test_what_is_no_module_is_named(text):
    with pytest.raises(ValueError, match=text):
        ModuleSpec.parse(text)


def test_const_must_come_first_and_once():
    for modules in (["Conv-id-1"], ["C_global-1", "Const-4"], ["Const-4", "Const-4"], []):
        with pytest.raises(ValueError, match="Const"):
            small(modules)


def test_counting_latents():
    assert count_latents(["Const-4", "C_global-2", "C_spgroup-4-5", "C_spgroup_sm-3", "Noise-2"]) == 10


def test_feature_maps_fall_and_are_clipped():
    maps = FeatureMaps(base=1024, decay=1.0, min=64, max=512)
    assert [maps.at(stage) for stage in range(6)] == [512, 512, 256, 128, 64, 64]


@pytest.mark.parametrize("resolution", [8, 16, 64])
def test_critics_take_any_power_of_two(resolution):
    critic = Critic(resolution, 1, 5, FeatureMaps(4, 0, 4, 4))
    assert critic(torch.randn(2, 1, resolution, resolution)).shape == (2, 5)
