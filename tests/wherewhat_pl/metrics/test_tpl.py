"""TPL and rotation on generators whose lengths are known."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from wherewhat_pl.metrics.functional.rotation import rotation_distance, rotation_distances
from wherewhat_pl.metrics.functional.tpl import (
    TPL_PRESETS,
    TPLSettings,
    base_codes_of,
    shrink_for_distance,
    traversal_perceptual_length,
)
from wherewhat_pl.metrics.perceptual import PerceptualDistance


class AbsoluteDifference:
    """A distance that is a length: sum of absolute differences of the pixels."""

    name = "absolute"

    def __init__(self) -> None:
        self.seen = 0

    def features(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return images.flatten(1)

    def between(self, features_a: Tensor, features_b: Tensor) -> Tensor:
        return (features_a - features_b).abs().sum(1)


WEIGHTS = torch.tensor([1.0, 0.25, 0.0, 0.5])


def linear(latents: Tensor) -> Tensor:
    """Pixel k of the image is latent k times its weight, so TPL_k = 8 w_k whatever the number of points."""
    return (latents * WEIGHTS).view(-1, 1, 1, 4)


def test_lengths_of_a_linear_generator_are_its_weights_times_the_range():
    distance = AbsoluteDifference()
    result = traversal_perceptual_length(linear, 4, distance, TPLSettings(points=7, base_codes=3), batch=5)
    torch.testing.assert_close(result.mean, 8 * WEIGHTS.double(), atol=1e-5, rtol=1e-5)
    assert result.std.max() < 1e-5
    assert distance.seen == 3 * 4 * 7, "each image goes through the network once"
    assert result.active.tolist() == [True, True, False, True]
    assert (result.num_active, result.distance) == (3, "absolute")
    assert result.total == pytest.approx(14.0, abs=1e-4)
    assert result.per_dimension == pytest.approx(3.5, abs=1e-4)
    assert result.settings.points == 7


def curved(latents: Tensor) -> Tensor:
    mixed = torch.tanh(latents @ torch.tensor([[1.0, 0.5], [0.2, -1.0], [0.0, 0.3]]))
    return mixed.view(-1, 1, 1, 2)


@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_the_batch_size_does_not_matter(batch):
    settings = TPLSettings(points=6, base_codes=5)
    expected = traversal_perceptual_length(curved, 3, AbsoluteDifference(), settings, batch=13)
    result = traversal_perceptual_length(curved, 3, AbsoluteDifference(), settings, batch=batch)
    torch.testing.assert_close(result.mean, expected.mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(result.std, expected.std, atol=1e-6, rtol=1e-5)


def test_the_order_of_dimensions_does_not_matter():
    codes = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([2, 0, 1])
    settings = TPLSettings(points=6)

    def permuted(latents: Tensor) -> Tensor:
        return curved(latents[:, order.argsort()])

    plain = traversal_perceptual_length(curved, 3, AbsoluteDifference(), settings, base_codes=codes)
    other = traversal_perceptual_length(permuted, 3, AbsoluteDifference(), settings, base_codes=codes[:, order])
    torch.testing.assert_close(other.mean, plain.mean[order])
    assert other.total == pytest.approx(plain.total)


def test_lengths_add_up_when_a_traversal_is_split():
    settings = TPLSettings(points=9, base_codes=4)
    whole = traversal_perceptual_length(curved, 3, AbsoluteDifference(), settings)
    parts = [
        traversal_perceptual_length(curved, 3, AbsoluteDifference(), replace(settings, points=5, low=low, high=low + 4))
        for low in (-4.0, 0.0)
    ]
    torch.testing.assert_close(parts[0].mean + parts[1].mean, whole.mean, atol=1e-6, rtol=1e-5)


def test_a_collapsed_generator_has_no_active_dimension():
    result = traversal_perceptual_length(lambda z: torch.zeros(len(z), 1, 4, 4), 3, AbsoluteDifference(), "small")
    assert (result.total, result.num_active) == (0.0, 0)


def test_a_real_distance_is_named_and_agrees_with_pairs():
    distance = PerceptualDistance("stlpips_vgg")

    def generate(latents: Tensor) -> Tensor:
        return torch.sin(latents[:, :, None, None] * torch.linspace(-2, 2, 20)).expand(-1, -1, 20, -1)[:, :1]

    settings = TPLSettings(points=4, base_codes=1)
    result = traversal_perceptual_length(generate, 2, distance, settings, base_codes=torch.zeros(1, 2), batch=3)
    path = torch.zeros(4, 2)
    path[:, 0] = torch.linspace(-4, 4, 4)
    images = generate(path)
    expected = distance(images[:-1], images[1:]).sum().double()
    torch.testing.assert_close(result.mean[0], expected, atol=1e-6, rtol=1e-4)
    assert result.mean[1] < 1e-9
    assert result.distance == "stlpips_vgg"


def test_large_images_are_averaged_to_a_side_of_256_to_511():
    assert [shrink_for_distance(torch.zeros(1, 1, s, s)).shape[-1] for s in (64, 256, 511, 512, 1024)] == [
        64,
        256,
        511,
        256,
        256,
    ]


def test_presets_are_the_paper_s():
    rows = {name: (s.points, s.base_codes, s.threshold) for name, s in TPL_PRESETS.items()}
    assert rows == {
        "small": (25, 10, 0.3),
        "large": (49, 300, 0.3),
        "huge": (49, 3000, 0.3),
        "vae_dsprites": (50, 500, 0.01),
    }
    with pytest.raises(ValueError, match="'tiny' is not one of the presets small, large"):
        traversal_perceptual_length(linear, 4, AbsoluteDifference(), "tiny")


def test_rotation_has_its_minima_at_the_axes_of_a_disentangled_pair():
    def generate(latents: Tensor) -> Tensor:
        return latents[:, [2, 0]].view(-1, 1, 1, 2)

    settings = {"grid": 4, "step_degrees": 15}
    result = rotation_distance(generate, 3, AbsoluteDifference(), (0, 2), seeds=(0, 1), batch=7, **settings)
    radians = result.degrees * torch.pi / 180
    # Each of 4 rows is a straight line of length 8: the sum of absolute differences is 8 (|cos| + |sin|).
    torch.testing.assert_close(result.mean, 4 * 8 * (radians.cos().abs() + radians.sin().abs()), atol=1e-4, rtol=1e-5)
    assert result.degrees[0] == -180
    assert result.degrees[-1] == 180
    assert result.alignment() > 0.2

    def mix(latents: Tensor) -> Tensor:
        return generate(latents) + generate(latents).flip(3) * torch.tensor([1.0, -1.0])

    mixed = rotation_distance(mix, 3, AbsoluteDifference(), (0, 2), **settings)
    assert mixed.alignment() < 0
    with pytest.raises(ValueError, match="not two different dimensions"):
        rotation_distance(generate, 3, AbsoluteDifference(), (1, 1))
    with pytest.raises(ValueError, match="does not divide 90"):
        rotation_distance(generate, 3, AbsoluteDifference(), (0, 1), step_degrees=7)


def test_rotated_pairs_that_are_measured_together_are_what_each_is_alone():
    def generate(latents: Tensor) -> Tensor:
        return torch.stack([latents[:, 0] ** 3 + latents[:, 1], latents[:, 1] - latents[:, 2]], 1).view(-1, 1, 1, 2)

    settings = {"grid": 5, "step_degrees": 30, "seeds": (3, 4)}
    pairs = [(0, 1), (2, 0), (1, 2)]
    distance = AbsoluteDifference()
    together = rotation_distances(generate, 3, distance, pairs, batch=17, **settings)
    for pair, result in zip(pairs, together, strict=True):
        alone = rotation_distance(generate, 3, distance, pair, batch=200, **settings)
        assert result.pair == pair
        torch.testing.assert_close(result.mean, alone.mean)
        torch.testing.assert_close(result.std, alone.std)
    # By the definition: each row of the lattice on its own, at an angle beyond those that are drawn.
    (code,) = base_codes_of(TPLSettings(base_codes=1, seed=3), 3)
    side, angle = torch.linspace(-4, 4, 5), torch.tensor(120 * torch.pi / 180)
    total = 0.0
    for row in side:
        latents = code.repeat(5, 1)
        latents[:, 0] = angle.cos() * side - angle.sin() * row
        latents[:, 1] = angle.sin() * side + angle.cos() * row
        total += float(generate(latents).diff(dim=0).abs().sum())
    alone = rotation_distance(generate, 3, distance, (0, 1), grid=5, step_degrees=30, seeds=(3,))
    assert float(alone.mean[alone.degrees == 120]) == pytest.approx(total, rel=1e-5)
    assert alone.along == (float(alone.mean[alone.degrees == 0]), float(alone.mean[alone.degrees == 90]))


def _measure(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    distance = AbsoluteDifference()
    result = traversal_perceptual_length(curved, 3, distance, TPLSettings(points=6, base_codes=5))
    torch.save((result.mean, result.std, distance.seen), os.path.join(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_the_work_and_get_the_same(tmp_path):
    mp.spawn(_measure, args=(str(tmp_path),), nprocs=2)
    expected = traversal_perceptual_length(curved, 3, AbsoluteDifference(), TPLSettings(points=6, base_codes=5))
    shares = []
    for rank in range(2):
        mean, std, seen = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(mean, expected.mean, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(std, expected.std, atol=1e-6, rtol=1e-5)
        shares.append(seen)
    assert sum(shares) == 5 * 3 * 6
    assert abs(shares[0] - shares[1]) <= 6
