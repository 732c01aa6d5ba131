"""Distances between sets of features against closed forms and brute force."""

from __future__ import annotations

import pytest
import scipy.linalg
import torch

from wherewhat_pl.metrics import functional as F
from wherewhat_pl.metrics.image_quality import FrechetDistanceVGG, KernelDistanceVGG, PrecisionRecallVGG
from wherewhat_pl.metrics.perceptual import PerceptualDistance


def normal(count: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_frechet_distance_of_diagonal_gaussians_is_its_closed_form():
    variances_a, variances_b = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([9.0, 4.0, 1.0])
    distance = F.frechet_distance(torch.zeros(3), variances_a.diag(), torch.tensor([1.0, 2.0, 0.0]), variances_b.diag())
    assert distance.item() == pytest.approx(5 + 4 + 0 + 1)


def test_frechet_distance_is_scipy_s_matrix_root():
    (a, b), means = (normal(50, 6, seed).T.cov() for seed in (0, 1)), normal(2, 6, 2)
    root = scipy.linalg.sqrtm((a @ b).numpy()).real
    expected = (means[0] - means[1]).square().sum() + a.trace() + b.trace() - 2 * root.trace()
    torch.testing.assert_close(F.frechet_distance(means[0], a, means[1], b), expected)


def test_kernel_distance_is_the_double_sum():
    a, b = normal(7, 4, 0), normal(5, 4, 1)

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x @ y / 4 + 1) ** 3)

    expected = sum(kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / 42
    expected += sum(kernel(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / 20
    expected -= 2 * sum(kernel(x, y) for x in a for y in b) / 35
    assert F.kernel_distance(a, b, chunk=3).item() == pytest.approx(expected)
    assert abs(F.kernel_distance(normal(2000, 4, 2), normal(2000, 4, 3)).item()) < 0.02


def test_precision_and_recall_of_a_part_and_of_strangers():
    real = normal(200, 2, 0)
    assert [float(v) for v in F.precision_recall(real, real, chunk=64)] == [1, 1]
    precision, recall = F.precision_recall(real, real[:20] * 0.01)
    assert precision == 1
    assert recall < 0.2
    assert [float(v) for v in F.precision_recall(real, real + 100)] == [0, 0]
    with pytest.raises(ValueError, match="4 samples or more"):
        F.precision_recall(real[:3], real)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_streamed_moments_are_those_of_all_features():
    features = normal(60, 3, 0), 2 * normal(80, 3, 1) + 1
    metric = FrechetDistanceVGG(embed=lambda images: images.flatten(1))
    for part in features[0].split(7):
        metric.update(part[:, :, None, None], real=True)
    for part in features[1].split(9):
        metric.update(part[:, :, None, None], real=False)
    expected = F.frechet_distance(features[0].mean(0), features[0].T.cov(), features[1].mean(0), features[1].T.cov())
    torch.testing.assert_close(metric.compute(), expected)
    metric.reset()
    with pytest.raises(ValueError, match="two real images"):
        metric.compute()


@pytest.mark.slow
def test_bundled_features_tell_noise_from_gradients():
    network = PerceptualDistance()
    generator = torch.Generator().manual_seed(0)
    ramps = torch.rand(16, 3, 1, 1, generator=generator) * torch.linspace(-1, 1, 32).expand(16, 3, 32, 32)
    noise = torch.rand(16, 3, 32, 32, generator=generator) * 2 - 1
    for metric in (FrechetDistanceVGG(network), KernelDistanceVGG(network)):
        values = []
        for other in (ramps[8:], noise[8:]):
            metric.reset()
            metric.update(ramps[:8], real=True)
            metric.update(other, real=False)
            values.append(float(metric.compute()))
        assert values[0] < 0.5 * values[1]
    metric = PrecisionRecallVGG(network)
    metric.update(ramps, real=True)
    metric.update(noise, real=False)
    assert {name: float(value) for name, value in metric.compute().items()} == {"precision": 0, "recall": 0}
