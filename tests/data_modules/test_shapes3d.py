"""3DShapes: the factors' order, linearity in the hues, and the original's own frames."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.rendering import raycast
from data_modules.rendering import shapes3d as rendering
from data_modules.rendering.raycast import Vectors
from data_modules.resampling import resize
from data_modules.shapes3d import Shapes3DDataModule


@pytest.fixture(scope="module")
def at_64() -> Shapes3DDataModule:
    data = Shapes3DDataModule(64, 8, source="rendered")
    data.setup()
    return data


@pytest.fixture(scope="module")
def at_16() -> Shapes3DDataModule:
    data = Shapes3DDataModule(16, 8, source="rendered")
    data.setup()
    return data


def test_the_factors_are_the_published_ones_in_their_order(at_16):
    space = at_16.factor_space
    assert dict(zip(space.names, space.sizes, strict=True)) == {
        "floor_hue": 10,
        "wall_hue": 10,
        "object_hue": 10,
        "scale": 8,
        "shape": 4,
        "orientation": 15,
    }
    assert (at_16.num_images, at_16.channels, at_16.source) == (480_000, 3, "rendered")
    assert space.to_index(torch.tensor([1, 0, 0, 0, 0, 0])) == 48_000


@pytest.mark.parametrize(
    ("factor", "pixel"), [("floor_hue", (61, 4)), ("wall_hue", (30, 60)), ("object_hue", (46, 32))]
)
def test_each_hue_colours_its_own_surface_and_nothing_far_from_it(at_64, factor, pixel):
    factors = torch.tensor([[0, 6, 3, 0, 0, 7]]).repeat(10, 1)
    factors[:, at_64.factor_space.position(factor)] = torch.arange(10)
    images = at_64.images_of(factors)
    for name, (row, column) in {"floor_hue": (61, 4), "wall_hue": (30, 60), "object_hue": (46, 32)}.items():
        colours = len(images[:, :, row, column].unique(dim=0))
        assert colours == (10 if name == factor else 1)
    assert images[0, :, pixel[0], pixel[1]].argmax() == 0  # hue 0 is red


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 2)])
def test_images_are_linear_in_the_hues(at_16, one, other):
    """What a change of one hue adds does not depend on another hue: the mixed difference is rounding or clipping."""
    factors = torch.tensor([[2, 6, 4, 5, 3, 3]]).repeat(4, 1)
    factors[:, one] = torch.tensor([2, 2, 8, 8])
    factors[:, other] = torch.tensor([1, 7, 1, 7])
    images = at_16.images_of(factors).int()
    mixed = (images[0] - images[1] - images[2] + images[3]).abs()
    clipped = (images == 255).any(0)
    assert mixed[~clipped].max() <= 2
    assert clipped.float().mean() < 0.6


def test_every_pixel_shows_something():
    maps = rendering.geometry_maps(16)
    assert maps.shape == (8, 4, 15, 4, 16, 16)
    assert maps.sum(3).min() > 0.25
    assert maps.min() >= 0


def test_larger_scale_covers_more_of_the_picture():
    covered = (rendering.geometry_maps(16)[:, :, :, 3] > 0).float().sum((-2, -1)).mean(-1)  # [8, 4]
    assert (covered[1:] - covered[:-1] >= 0).all()
    assert (covered[-1] > 1.5 * covered[0]).all()


def test_the_room_turns_with_the_orientation_about_the_middle_one():
    walls = rendering.geometry_maps(32)[0, 2, :, 2] > 0  # what the room hides behind a sphere, all orientations
    assert (walls == walls.flip(0, -1)).float().mean() > 0.99


def test_the_original_frames_are_matched_within_a_few_grey_levels(at_64):
    """Eleven of the animation's frames, brought back from 226 px: they are dithered, so nothing matches exactly."""
    with np.load(Path(__file__).with_name("shapes3d_frames.npz"), allow_pickle=False) as file:
        frames, factors = torch.from_numpy(file["frames"]), torch.from_numpy(file["factors"]).long()
    images = at_64.images_of(factors).permute(0, 2, 3, 1)
    difference = (images.float() - frames.float())[:, 1:-1, 1:-1].abs().mean((1, 2, 3))  # without the figure's border
    assert difference.max() < 3.0
    unrelated = (images.roll(3, 0).float() - frames.float())[:, 1:-1, 1:-1].abs().mean((1, 2, 3))
    assert unrelated.min() > 2 * difference.max()


def test_small_pictures_are_box_averages_of_large_ones(at_64, at_16):
    indices = torch.arange(0, 480_000, 4801)
    difference = resize(at_64.images(indices), 16).float() - at_16.images(indices).float()
    assert difference.abs().mean() < 1.0
    assert difference.abs().max() < 48  # level edges, which meet whole rows of rays


def test_maps_of_64_px_take_a_hundredth_of_the_full_array(at_64):
    kept = sum(value.nbytes for value in vars(at_64).values() if isinstance(value, torch.Tensor))
    assert kept < 480_000 * 64 * 64 * 3 / 100


def test_nothing_of_a_solid_or_its_shadow_lies_outside_the_window_that_is_drawn():
    view = rendering._View(rendering.SCENE, torch.tensor(rendering.ORIENTATIONS), 64)
    maps, everything = rendering.geometry_maps(32, samples=2), slice(0, 32)
    for shape in range(4):
        whole = rendering._draw(view, shape, rendering.SCALES[7], everything, everything, 2)
        assert torch.allclose(maps[7, shape], whole, atol=1e-5)


def test_setting_up_a_small_resolution_takes_seconds_and_only_once():
    data = Shapes3DDataModule(16, 8, source="rendered")
    data.setup()
    maps = data._maps
    start = time.perf_counter()
    data.setup()
    assert time.perf_counter() - start < 0.1
    assert data._maps is maps


def vectors(*rows: tuple[float, float, float]) -> Vectors:
    return Vectors(*torch.tensor(rows).unbind(-1))


def test_rays_hit_solids_where_geometry_says():
    origin, ahead, back = vectors((0.0, -5.0, 0.5)), vectors((0.0, 1.0, 0.0)), vectors((0.0, -1.0, 0.0))
    above, down = vectors((0.1, 0.1, 9.0)), vectors((0.0, 0.0, -1.0))
    assert raycast.box(origin, ahead, 1.0, 1.0).distances.item() == pytest.approx(4.0)
    assert raycast.cylinder(origin, ahead, 0.5, 1.0).distances.item() == pytest.approx(4.5)
    assert raycast.sphere(origin, ahead, 0.5, 0.5).distances.item() == pytest.approx(4.5)
    assert raycast.capsule(origin, ahead, 0.5, 2.0).distances.item() == pytest.approx(4.5)
    assert raycast.cylinder(above, down, 0.5, 1.0).distances.item() == pytest.approx(8.0)
    assert raycast.cylinder(above, down, 0.5, 1.0).normals.z.item() == 1.0
    assert raycast.box(origin, back, 1.0, 1.0).distances.item() == torch.inf


def test_normals_have_unit_length_on_every_solid():
    directions = Vectors(*torch.randn(3, 500, generator=torch.Generator().manual_seed(0))).unit()
    origins = vectors((0.0, 0.0, 0.5)).plus(directions, -5.0)
    for hits in (
        raycast.box(origins, directions, 0.5, 1.0),
        raycast.cylinder(origins, directions, 0.5, 1.0),
        raycast.sphere(origins, directions, 0.5, 0.5),
        raycast.capsule(origins, directions, 0.4, 1.2),
    ):
        lengths = hits.normals.dot(hits.normals)[hits.distances < torch.inf]
        assert len(lengths) > 100
        assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-3)
