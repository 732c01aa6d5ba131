"""dSprites: the factors' order, and the original animation's 320 frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.dsprites import DSpritesDataModule
from data_modules.rendering.dsprites import outline_sections
from data_modules.resampling import resize


@pytest.fixture(scope="module")
def data() -> DSpritesDataModule:
    module = DSpritesDataModule(64, 8, source="rendered")
    module.setup()
    return module


def picture(data: DSpritesDataModule, *factors: int) -> torch.Tensor:
    return data.images_of(torch.tensor(factors))[0].float() / 255


def test_the_factors_are_the_published_ones_in_their_order(data):
    space = data.factor_space
    assert dict(zip(space.names, space.sizes, strict=True)) == {
        "shape": 3,
        "scale": 6,
        "orientation": 40,
        "x": 32,
        "y": 32,
    }
    assert (data.num_images, data.channels, data.source) == (737_280, 1, "rendered")
    assert space.to_factors(torch.tensor(33)).tolist() == [0, 0, 0, 1, 1]


def test_the_original_frames_are_reproduced(data):
    with np.load(Path(__file__).with_name("dsprites_frames.npz"), allow_pickle=False) as file:
        frames = torch.from_numpy(np.unpackbits(file["frames"], axis=1).reshape(-1, 64, 64)) > 0
        factors = torch.from_numpy(file["factors"]).long()
    images = data.images_of(factors)[:, 0] > 0
    iou = (images & frames).sum((1, 2)) / (images | frames).sum((1, 2))
    assert len(iou) == 320
    assert iou.median() >= 0.95  # 1.0 was found, and 86 % of the frames equal pixel by pixel
    assert iou.min() >= 0.8  # 0.986 was found


def test_pictures_are_black_and_white_from_64_px_on(data):
    larger = DSpritesDataModule(128, 8, source="rendered")
    larger.setup()
    indices = torch.arange(0, data.num_images, 7001)
    assert set(data.images(indices).unique().tolist()) == {0, 255}
    assert set(larger.images(indices).unique().tolist()) == {0, 255}
    agreement = (resize(larger.images(indices), 64) > 127) == (data.images(indices) > 127)
    assert agreement.float().mean() > 0.995


def test_smaller_pictures_are_box_averages(data):
    small = DSpritesDataModule(16, 8, source="rendered")
    small.setup()
    indices = torch.arange(0, data.num_images, 7001)
    means = data.images(indices).float().unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    assert (small.images(indices).float() - means).abs().max() <= 0.5


def test_x_moves_right_y_moves_down_and_orientation_turns_counterclockwise(data):
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")

    def centre(*factors: int) -> tuple[float, float]:
        image = picture(data, *factors)
        return ((columns * image).sum() / image.sum()).item(), ((rows * image).sum() / image.sum()).item()

    assert centre(0, 5, 0, 31, 0)[0] - centre(0, 5, 0, 0, 0)[0] == pytest.approx(32)
    assert centre(0, 5, 0, 0, 31)[1] - centre(0, 5, 0, 0, 0)[1] == pytest.approx(32)
    turned = picture(data, 1, 5, 5, 16, 16)  # an ellipse that lies flat at orientation 0, turned by 46 degrees
    x, y = columns - centre(1, 5, 5, 16, 16)[0], rows - centre(1, 5, 5, 16, 16)[1]
    assert (x * y * turned).sum() < 0  # its right end is up


def test_the_last_orientation_is_the_first_again(data):
    assert torch.equal(picture(data, 0, 5, 0, 3, 3), picture(data, 0, 5, 39, 3, 3))


def test_areas_are_those_of_the_outlines(data):
    top, bottom = outline_sections()
    areas = (bottom - top).clamp_min(0).sum(-1) * 2 * 14 / 4096
    assert areas[0].item() == pytest.approx(19.2**2, rel=1e-3)
    for shape in range(3):
        factors = torch.tensor([shape, 5, 0, 0, 0]).repeat(1000, 1)
        factors[:, 2:] = data.factor_space.sample(1000, torch.Generator().manual_seed(shape))[:, 2:]
        pixels = (data.images_of(factors) > 0).float().sum((1, 2, 3)).mean().item()
        assert pixels == pytest.approx(areas[shape].item(), rel=0.01)
