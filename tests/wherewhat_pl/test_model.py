"""A model is made of networks, not of a run; wherever it comes from, it answers the same questions."""

import re
from pathlib import Path

import pytest
import torch

from wherewhat_pl.errors import CheckpointError, ConfigError, ModelError
from wherewhat_pl.interop.load import load
from wherewhat_pl.model import Model
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.run.loading import load_run
from wherewhat_pl.system import DisentanglingGAN

NARROW = FeatureMaps(4, 0, 4, 4)
MIXED = ["Const-4", "ResConv-up-1", "C_spgroup-2-2", "C_global-1", "ResConv-up-1", "C_spgroup_sm-2", "Noise-1"]


@pytest.fixture(scope="module")
def mixed():
    """A model whose five latents act under rectangles (0, 1), without a mask (2) and under softmax masks (3, 4)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model(Generator(MIXED, 3, NARROW, 6), Critic(16, 3, 5, NARROW))


def test_it_says_what_it_is(mixed):
    assert (mixed.num_latents, mixed.resolution, mixed.channels) == (5, 16, 3)
    assert mixed.has_masks
    assert mixed.has_recognizer
    assert mixed.names == [f"latent {k}" for k in range(5)]


def test_shapes_are_the_images_and_one_mask_per_latent(mixed):
    latents = mixed.sample(3, seed=1)
    images, masks = mixed.generate(latents, return_masks=True)
    assert images.shape == (3, 3, 16, 16)
    assert masks.shape == (3, 5, 16, 16)
    torch.testing.assert_close(images, mixed.generate(latents))
    torch.testing.assert_close(masks, mixed.masks(latents))
    assert mixed.encode(images).shape == (3, 5)


def test_masks_are_scaled_by_the_kind_of_their_own_module(mixed):
    latents = mixed.sample(4)
    masks = mixed.masks(latents)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert masks[:, 2].abs().max() == 0, "a latent without a mask has an empty row"
    torch.testing.assert_close(masks[:, 3:].amax((2, 3)), torch.ones(4, 2))  # softmax: the strongest pixel counts as 1
    _, parts = mixed.generator(latents, return_masks=True)
    torch.testing.assert_close(masks[:, :2], parts[0].repeat_interleave(2, 2).repeat_interleave(2, 3))  # as they are


def test_samples_depend_on_the_seed_alone(mixed):
    assert torch.equal(mixed.sample(4, seed=3), mixed.sample(4, seed=3))
    assert not torch.equal(mixed.sample(4, seed=3), mixed.sample(4, seed=4))
    uniform = Model(mixed.generator, prior="uniform").sample(1000)
    assert uniform.abs().max() <= 2
    assert uniform.abs().max() > 1.9


def test_what_it_cannot_do_is_said_in_one_line(mixed):
    with pytest.raises(ModelError, match="has no recognizer"):
        Model(mixed.generator).encode(torch.zeros(1, 3, 16, 16))
    with pytest.raises(ModelError, match=r"latents have shape \[2, 4\]; this model takes \[B, 5\]"):
        mixed.generate(torch.zeros(2, 4))
    with pytest.raises(ModelError, match="2 names were given for 5 latents"):
        Model(mixed.generator, latents=["a", "b"])
    with pytest.raises(ModelError, match="two latents are called 'a'"):
        Model(mixed.generator, latents=["a", "b", "a", "c", "d"])


def test_a_system_in_training_gives_its_averages(tiny):
    system = DisentanglingGAN(tiny("model.ema.recognizer=true"), 3)
    model = system.model()
    assert model.generator is system.generator_ema
    assert model.recognizer is system.recognizer_ema
    with torch.no_grad():
        system.generator_ema.to_rgb.bias += 1
    assert model.generate(model.sample(1)).mean() > 0.5, "it shares the averages, it is no copy"


def test_a_run_gives_the_model_that_its_training_left(trained):
    state = load_checkpoint(RunDir(trained / "a").last_checkpoint)
    system = DisentanglingGAN(load_run(trained / "a").config, 3)
    system.load_state_dict(state["state_dict"])
    ours, theirs = load(trained / "a"), system.model()
    latents = ours.sample(3)
    assert torch.equal(ours.generate(latents), theirs.generate(latents))
    assert torch.equal(ours.masks(latents), theirs.masks(latents))
    assert torch.equal(ours.encode(ours.generate(latents)), theirs.encode(theirs.generate(latents)))
    assert load_run(trained / "a").images_seen == 32
    assert not load(trained / "gan").has_recognizer


def test_a_folder_that_is_no_run_and_weights_of_other_networks_are_one_line(runs):
    with pytest.raises(ConfigError, match=r"no run there.*did you mean 'gan'"):
        load(runs / "gam")
    (runs / "a" / "config.yaml").write_text(
        (runs / "a" / "config.yaml").read_text().replace("C_spgroup-2-2", "Conv-id-1")
    )
    with pytest.raises(CheckpointError, match="is of other networks") as error:
        load(runs / "a")
    assert "\n" not in str(error.value)


def test_the_lines_in_the_readme_do_what_they_say(trained, monkeypatch):
    text = (Path(__file__).parents[2] / "README.md").read_text().partition("## A trained model")[2]
    lines = re.search(r"```python\n(.*?)```", text, re.S)[1]
    found = {}
    exec(lines.replace("runs/shapes3d_quick/seed0", str(trained / "a")), found)
    assert found["images"].shape == (16, 3, 8, 8)
    assert found["masks"].shape == (16, 3, 8, 8)
    assert found["codes"].shape == (16, 3)
