"""Perceptual distances: the published numbers, and LPIPS against its formula written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.conftest import mostly_slow
from wherewhat_pl.metrics import perceptual
from wherewhat_pl.metrics.perceptual import PerceptualDistance

ORACLE = Path(__file__).parents[2] / "oracle" / "perceptual.npz"


@pytest.fixture(scope="module")
def distance() -> PerceptualDistance:
    return PerceptualDistance("stlpips_vgg")


def pairs(size: int) -> tuple[Tensor, Tensor, Tensor]:
    with np.load(ORACLE, allow_pickle=False) as arrays:
        a, b, d = (torch.from_numpy(arrays[f"{name}{size}"]) for name in "abd")
    return a.permute(0, 3, 1, 2) / 127.5 - 1, b.permute(0, 3, 1, 2) / 127.5 - 1, d


@pytest.mark.parametrize("size", mostly_slow([32, 100], fast=1))
def test_distances_are_the_original_package_s(distance, size):
    a, b, expected = pairs(size)
    torch.testing.assert_close(distance(a, b), expected, atol=1e-6, rtol=1e-5)
    assert distance.name == "stlpips_vgg"


@pytest.mark.slow
def test_a_distance_is_symmetric_zero_on_equals_and_independent_of_the_batch(distance):
    a, b, _ = pairs(32)
    torch.testing.assert_close(distance(a, b), distance(b, a))
    assert distance(a, a).abs().max() < 1e-9
    one_by_one = torch.cat([distance(a[k : k + 1], b[k : k + 1]) for k in range(len(a))])
    torch.testing.assert_close(distance(a, b), one_by_one, atol=1e-6, rtol=1e-5)
    small_batches = PerceptualDistance("stlpips_vgg", batch=2)
    torch.testing.assert_close(small_batches(a, b), distance(a, b), atol=1e-6, rtol=1e-5)


def test_grey_is_repeated_and_small_images_are_enlarged_with_a_word(distance):
    grey = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(distance(grey, -grey), distance(grey.expand(-1, 3, -1, -1), -grey.expand(-1, 3, -1, -1)))
    tiny = grey[:, :, :10, :16]
    with pytest.warns(UserWarning, match="16 x 10 are too small for the network .* enlarged 2 times"):
        enlarged = distance(tiny, -tiny)
    by_hand = F.interpolate(tiny, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(enlarged, distance(by_hand, -by_hand))
    assert distance(grey[:, :, :18, :18], -grey[:, :, :18, :18]).isfinite().all()


@pytest.mark.slow
def test_bfloat16_is_close_and_says_so():
    a, b, expected = pairs(32)
    half = PerceptualDistance("stlpips_vgg", dtype=torch.bfloat16)
    assert half.name == "stlpips_vgg_bf16"
    assert 0 < half.rounding(a, b) < 0.05
    torch.testing.assert_close(half(a, b), expected, rtol=0.05, atol=1e-3)


def test_wrong_images_and_names_are_one_sentence(distance):
    with pytest.raises(ValueError, match="'vgg' is not one of stlpips_vgg, lpips_vgg"):
        PerceptualDistance("vgg")
    with pytest.raises(ValueError, match="have no pairs"):
        distance(torch.zeros(1, 3, 32, 32), torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match=r"float images \[B, 1 or 3, H, W\] in \[-1, 1\], got uint8"):
        distance.features(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


def test_lpips_is_its_formula(tmp_path, monkeypatch):
    """With random weights where the ImageNet ones would be: the network and the heads, written out once more."""
    generator = torch.Generator().manual_seed(0)
    plan = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512]
    weights: dict[str, Tensor] = {}
    layers: list[tuple[str, str | None]] = []
    width, place = 3, 0
    for item in plan:
        if item == "M":
            layers.append(("pool", None))
            place += 1
            continue
        kernel = torch.randn(item, width, 3, 3, generator=generator)
        weights[f"features.{place}.weight"] = kernel * (2 / 9 / width) ** 0.5
        weights[f"features.{place}.bias"] = torch.randn(item, generator=generator) * 0.1
        layers.append(("conv", f"features.{place}"))
        width, place = item, place + 2
    (tmp_path / "checkpoints").mkdir()
    torch.save(weights, tmp_path / "checkpoints" / "vgg16-397923af.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    distance = PerceptualDistance("lpips_vgg")

    a, b, _ = pairs(32)
    heads = perceptual._read("torchmetrics", "torchmetrics/functional/image/lpips_models/vgg.pth", "lpips_vgg")
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x = (torch.cat([a, b]) - shift[:, None, None]) / scale[:, None, None]
    expected, stage = torch.zeros(len(a)), 0
    for k, (kind, name) in enumerate(layers):
        if kind == "pool":
            x = F.max_pool2d(x, 2, 2)
            continue
        x = F.relu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1))
        if k + 1 == len(layers) or layers[k + 1][0] == "pool":
            unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
            difference = (unit[: len(a)] - unit[len(a) :]).square()
            expected += F.conv2d(difference, heads[f"lin{stage}.model.1.weight"]).mean((1, 2, 3))
            stage += 1
    torch.testing.assert_close(distance(a, b), expected, rtol=1e-4, atol=1e-6)


def test_without_network_lpips_says_which_file_goes_where(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    pattern = r"vgg16-397923af\.pth is not in .*checkpoints .*use stlpips_vgg"
    with pytest.raises(FileNotFoundError, match=pattern) as problem:
        PerceptualDistance("lpips_vgg")
    assert "\n" not in str(problem.value)


def test_a_missing_carrier_package_is_named(monkeypatch):
    def missing(name: str):
        raise perceptual.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(perceptual.importlib.metadata, "distribution", missing)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps stlpips-pytorch"):
        PerceptualDistance("stlpips_vgg")
