import math

import pytest
import torch

from data_modules.base import to_float
from data_modules.registry import build_data
from wherewhat_pl.metrics.functional import coverage, geometry_residuals, orthonormal_bases, placed_residuals


def data(name, resolution):
    module = build_data(name, resolution=resolution, batch_size=4, source="rendered")
    module.setup()
    return module


def unit(images):
    """uint8 -> 0..1."""
    return (to_float(images) + 1) / 2


def test_residuals_are_those_of_least_squares():
    torch.manual_seed(0)
    maps, images = torch.randn(5, 3, 4, 6), torch.rand(7, 2, 4, 6)
    residuals = geometry_residuals(images, orthonormal_bases(maps.flatten(2)))
    for n in range(7):
        for g in range(5):
            design, wanted = maps[g].flatten(1).T, images[n].flatten(1).T  # [P, K], [P, C]
            fitted = design @ torch.linalg.lstsq(design, wanted).solution
            assert residuals[n, g].item() == pytest.approx((fitted - wanted).square().mean().sqrt().item(), rel=1e-4)


def test_maps_that_repeat_each_other_span_no_more():
    maps = torch.randn(2, 2, 30)
    twice = torch.cat([maps, maps[:, :1] * 3], dim=1)
    images = torch.rand(4, 1, 5, 6)
    torch.testing.assert_close(
        geometry_residuals(images, orthonormal_bases(twice)), geometry_residuals(images, orthonormal_bases(maps))
    )


@pytest.fixture(scope="module")
def shapes():
    module = data("shapes3d", 16)
    geometry = module.geometry()
    return module, geometry, orthonormal_bases(geometry.maps.flatten(2))


def test_a_real_image_lies_in_the_span_of_its_own_geometry(shapes):
    """Where nothing is overexposed: with colours of half the brightness."""
    _, geometry, bases = shapes
    colors = torch.rand(480, 3, 4) / 2
    images = torch.einsum("gck,gkhw->gchw", colors, geometry.maps)
    residuals = geometry_residuals(images, bases)
    assert residuals.diagonal().max() < 1e-3
    share = coverage(residuals, residuals, geometry.sizes)
    assert share == 1
    assert share["geometries"] > 240


def test_real_images_have_all_of_it_and_noise_has_none(shapes):
    module, geometry, bases = shapes
    torch.manual_seed(0)
    first, second = (geometry_residuals(unit(module.images(torch.randint(480_000, (500,)))), bases) for _ in range(2))
    share = coverage(first, second, geometry.sizes)
    assert share == pytest.approx(1, abs=0.02)
    assert min(share["factors"]) > 0.8
    noise = geometry_residuals(torch.rand(500, 3, 16, 16), bases)
    assert coverage(noise, second, geometry.sizes) < 0.05


def test_one_picture_repeated_is_one_geometry(shapes):
    module, geometry, bases = shapes
    same = geometry_residuals(unit(module.images(torch.full((50,), 1234))), bases)
    share = coverage(same, same, geometry.sizes)
    assert share["geometries"] == pytest.approx(1)
    assert share["factors"] == [0, 0, 0]


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-8, 8)])
def test_a_moved_glyph_is_found_at_any_brightness(shift):
    torch.manual_seed(0)
    glyphs = torch.zeros(6, 32, 32)
    glyphs[:, 12:20, 12:20] = torch.rand(6, 8, 8)
    images = 0.6 * glyphs.roll(shift, dims=(1, 2))[:, None]
    residuals = placed_residuals(images, glyphs)
    assert residuals.diagonal().max() < 1e-3
    assert residuals.argmin(1).tolist() == list(range(6))
    apart = residuals + torch.eye(6)
    assert apart.min() > 0.01


def test_real_sprites_are_near_to_a_glyph_and_other_pictures_are_not():
    module = data("dsprites", 32)
    geometry = module.geometry()
    assert geometry.placed
    assert math.prod(geometry.sizes) == len(geometry.maps)
    torch.manual_seed(0)
    glyphs = geometry.maps[::7, 0]
    real = placed_residuals(unit(module.images(torch.randint(737_280, (16,)))), glyphs).amin(1).mean()
    noise = placed_residuals(torch.rand(16, 1, 32, 32), glyphs).amin(1).mean()
    assert real < 0.1 < 0.3 < noise


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="6 geometries"):
        coverage(torch.rand(3, 6), torch.rand(3, 6), (2, 2))
