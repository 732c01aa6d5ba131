"""Codes of images are found again, and what one image gives to another is what its latents say, where its masks are."""

import numpy as np
import pytest
import torch
from PIL import Image

from wherewhat_pl.analysis.codes import Codes
from wherewhat_pl.analysis.edit import draw_transfer, transfer
from wherewhat_pl.analysis.project import project, regularity
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.interop.load import load
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.model import Model
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.pictures.pixels import to_uint8


@pytest.fixture
def pictures(trained, tmp_path):
    """A function: count -> paths of images that run ``a`` drew."""

    def write(count):
        model = load(trained / "a")
        images = to_uint8(model.generate(model.sample(count, seed=11))).permute(0, 2, 3, 1).numpy()
        paths = [tmp_path / f"picture{k}.png" for k in range(count)]
        for path, pixels in zip(paths, images, strict=True):
            Image.fromarray(pixels).save(path)
        return paths

    return write


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:stlpips_vgg")
@pytest.mark.parametrize(("recognizer", "noise"), [(True, True), (False, True), (True, False)])
def test_images_that_the_model_drew_are_found_again(trained, recognizer, noise):
    own = load(trained / "a")
    model = own if recognizer else Model(own.generator)
    distance = PerceptualDistance()
    images = model.generate(model.sample(20, seed=5))
    found, away, maps = project(model, images[:10], distance, steps=40, batch=5, noise=noise)
    between = float(distance(images[:10], images[10:]).mean())
    assert (away < 0.1 * between).sum() >= 9
    torch.testing.assert_close(
        distance(model.with_noise(maps).generate(found), images[:10]), away, rtol=1e-3, atol=1e-6
    )


@pytest.fixture(scope="module")
def noisy():
    """A model whose noise is as strong as its features, on 8 and 16 px; a map of strength 0 does nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        modules = ["Const-6", "ResConv-up-1", "C_spgroup-2-2", "Noise-1", "ResConv-up-1", "Noise-2", "C_spgroup-2-2"]
        generator = Generator(modules, 3, FeatureMaps(6, 0, 6, 6), 6).requires_grad_(False)
    for layer in (generator.blocks[2][0], generator.blocks[4][1]):
        layer.strength.fill_(1)
    return Model(generator)


def with_other_noise(model, count):
    random = torch.Generator().manual_seed(1)
    maps = {name: torch.randn(count, *own.shape[1:], generator=random) for name, own in model.noise_maps.items()}
    return model.with_noise(maps), maps


def test_other_noise_draws_other_images_by_the_same_weights(noisy):
    assert list(noisy.noise_maps) == ["blocks.2.0", "blocks.4.1"]
    latents = noisy.sample(3)
    before = noisy.generate(latents)
    other, maps = with_other_noise(noisy, 3)
    images = other.generate(latents)
    for k in range(3):
        alone = noisy.with_noise({name: each[k : k + 1] for name, each in maps.items()})
        torch.testing.assert_close(alone.generate(latents)[k], images[k])
    assert (images - before).abs().mean() > 0.1
    assert torch.equal(noisy.generate(latents), before), "the model itself is as it was"
    torch.testing.assert_close(noisy.with_noise(noisy.noise_maps).generate(latents), before)
    assert other.generator.const is noisy.generator.const


def test_neighbours_in_noise_have_little_in_common_and_in_a_picture_much():
    noise = torch.randn(50, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    # A mean of N products of independent standard normals has variance 1 / N: two of them at 32, 16 and 8 px, where
    # means over 2 x 2 pixels have a quarter of the variance, and their products a sixteenth of it.
    expected = 2 * sum(16**-level / (32 >> level) ** 2 for level in range(3))
    assert float(regularity(noise).mean()) == pytest.approx(expected, rel=0.3)
    stripes = torch.tensor([1.0, -1.0]).repeat_interleave(16).expand(1, 1, 32, 32)
    assert float(regularity(stripes)) > 4


def test_noise_goes_into_a_file_of_codes_and_comes_back(noisy, tmp_path):
    other, maps = with_other_noise(noisy, 2)
    codes = Codes(noisy.sample(2), ["a.png", "b.png"], torch.tensor([0.25, 0.5]), maps)
    codes.save(tmp_path / "codes.npz")
    found = Codes.load(tmp_path / "codes.npz", noisy)
    assert torch.equal(found.codes, codes.codes)
    assert (found.names, found.distances.tolist()) == (codes.names, [0.25, 0.5])
    assert torch.equal(found.on(noisy).generate(found.codes), other.generate(codes.codes))
    second = found[1:]
    torch.testing.assert_close(second.on(noisy).generate(second.codes), other.generate(codes.codes)[1:])
    without = Model(Generator(["Const-6", "ResConv-up-2", "C_spgroup-1-4"], 3, FeatureMaps(6, 0, 6, 6), 6))
    with pytest.raises(ConfigError, match=r"codes.npz: noise map blocks.2.0 \[2, 1, 8, 8\] is none of this model's"):
        Codes.load(tmp_path / "codes.npz", without)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:stlpips_vgg")
def test_an_image_drawn_with_other_noise_is_found_much_nearer_with_noise_maps(noisy):
    distance = PerceptualDistance()
    images = with_other_noise(noisy, 4)[0].generate(noisy.sample(4, seed=3))
    codes_only, with_noise = (project(noisy, images, distance, steps=60, noise=noise) for noise in (False, True))
    assert codes_only[2] == {}
    assert with_noise[1].mean() < 0.4 * codes_only[1].mean()
    found, away, maps = with_noise
    torch.testing.assert_close(distance(noisy.with_noise(maps).generate(found), images), away, rtol=1e-3, atol=1e-6)
    for name, own in noisy.noise_maps.items():
        assert maps[name].shape == (4, *own.shape[1:])
        assert regularity(maps[name]).max() < 0.01, "noise shows no picture"
        torch.testing.assert_close(maps[name].square().mean((1, 2, 3)), torch.ones(4), rtol=1e-2, atol=0)


@pytest.mark.slow
def test_project_writes_codes_that_edit_takes(trained, command, pictures, tmp_path):
    first, second, third = pictures(3)
    words = (f"run={trained / 'a'}", "steps=2")
    status, printed, _ = command("project", *words, f"images={first},{second}", f"out={tmp_path / 'p'}")
    assert status == 0
    assert "picture1.png" in printed
    model = load(trained / "a")
    codes = Codes.load(tmp_path / "p" / "codes.npz", model)
    assert codes.names == ["picture0.png", "picture1.png"]
    with Image.open(tmp_path / "p" / "sheet.png") as sheet:
        assert sheet.size == (2 * 66 - 2, 34 + 2 * 66 - 2)

    faces = f"face={tmp_path / 'p' / 'codes.npz'}"
    status, _, complaint = command("edit", *words, faces, f"from={third}:latent 1+0", f"out={tmp_path / 'e'}")
    assert status == 0, complaint
    edited = Codes.load(tmp_path / "e" / "codes.npz", model)
    assert torch.equal(edited.codes[:, 2], codes.codes[:, 2])
    assert torch.equal(edited.codes[0, :2], edited.codes[1, :2])
    with Image.open(tmp_path / "e" / "edited.png") as picture:
        grid = np.asarray(picture)
    words = ("columns=2", "frames=2", "formats=gif", "seeds=2", f"codes={tmp_path / 'e' / 'codes.npz'}")
    assert command("traverse", f"run={trained / 'a'}", *words, f"out={tmp_path / 't'}")[0] == 0
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["code0.png", "code1.png", "traversal.gif"]

    shown = to_uint8(edited.on(model).generate(edited.codes))[1].permute(1, 2, 0).numpy()
    top, left = 17 + 34 + 66, 2 * 66
    assert np.array_equal(grid[top : top + 64 : 8, left : left + 64 : 8], shown)


def test_under_the_mask_nothing_else_changes(trained):
    model = load(trained / "a")
    codes, (source,) = model.sample(4, seed=1), model.sample(1, seed=2)
    edited = transfer(codes, source, [1])
    assert torch.equal(edited[:, 1], source[1].expand(4))
    assert torch.equal(edited[:, [0, 2]], codes[:, [0, 2]])
    before, after = model.generate(codes), model.generate(edited)
    assert torch.equal(draw_transfer(model, codes, edited, [1]), after)
    kept = draw_transfer(model, codes, edited, [1], under_mask=True)
    places = torch.maximum(model.masks(codes)[:, 1:2], model.masks(edited)[:, 1:2])
    assert ((kept - before).abs() <= 2 * places * (after - before).abs() + 1e-6).all()
    assert (kept - before).abs().max() > 0
