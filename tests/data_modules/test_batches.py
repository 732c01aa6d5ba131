"""Training batches: a function of (seed, rank, images_seen), uniform over the data, in the network's range."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from data_modules.dsprites import DSpritesDataModule
from data_modules.errors import DataError
from data_modules.shapes3d import Shapes3DDataModule


def ready(seed: int = 0, rank: int = 0, world_size: int = 1, cls: type = Shapes3DDataModule, **options):
    data = cls(16, 8, seed=seed, source="rendered", **options)
    data.setup()
    if world_size > 1:
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)
    return data


@pytest.mark.parametrize("cls", [Shapes3DDataModule, DSpritesDataModule])
def test_a_batch_has_the_networks_range_and_the_total_size_over_ranks(cls):
    batch = ready(cls=cls).training_batch(0)
    assert batch.shape == (8, cls.channels, 16, 16)
    assert batch.dtype == torch.float32
    assert -1 <= batch.min() < batch.max() <= 1
    assert len(ready(world_size=4, cls=cls).training_batch(0)) == 2


def test_a_batch_depends_on_seed_rank_and_images_seen_and_nothing_else():
    batch = ready(seed=3).training_batch(800)
    again = ready(seed=3)
    again.training_batch(0)
    torch.rand(5)
    assert torch.equal(again.training_batch(800), batch)
    assert not torch.equal(again.training_batch(808), batch)
    assert not torch.equal(ready(seed=4).training_batch(800), batch)
    one, other = (ready(3, rank, 2).training_batch(800) for rank in range(2))
    assert not torch.equal(one, other)


def test_a_stream_that_starts_later_yields_what_the_first_one_yielded_then():
    data = ready()
    first = list(islice(data.train_dataloader(), 5))
    data.clock = lambda: 3 * 8
    for resumed, original in zip(islice(data.train_dataloader(), 2), first[3:], strict=True):
        assert torch.equal(resumed, original)


def test_a_mirrored_image_is_the_image_or_its_mirror_image():
    plain, mirrored = ready().training_batch(0), ready(mirror=True).training_batch(0)
    same = (mirrored == plain).flatten(1).all(1)
    flipped = (mirrored == plain.flip(-1)).flatten(1).all(1)
    assert (same | flipped).all()
    assert flipped.any()


def test_images_of_factors_are_images_of_their_index_in_any_shape():
    data = ready()
    grid = data.factor_space.grid("shape", "scale", at=(1, 2, 3, 0, 0, 7))
    images = data.images_of(grid)
    assert images.shape == (4, 8, 3, 16, 16)
    assert torch.equal(images[2, 5], data.images(data.factor_space.to_index(grid[2, 5])[None])[0])


@pytest.mark.parametrize("resolution", [4, 48, 0])
def test_a_resolution_that_is_no_power_of_two_is_refused(resolution):
    with pytest.raises(DataError, match="power of two"):
        Shapes3DDataModule(resolution, 8)


@pytest.mark.parametrize(
    ("cls", "resolution"),
    [
        (Shapes3DDataModule, 8),
        (Shapes3DDataModule, 32),
        (DSpritesDataModule, 8),
        (DSpritesDataModule, 256),
    ],
)
def test_every_power_of_two_is_a_resolution(cls, resolution):
    data = cls(resolution, 2, source="rendered")
    data.setup()
    assert data.images(torch.tensor([0, data.num_images - 1])).shape == (2, cls.channels, resolution, resolution)


def test_the_fingerprint_tells_pictures_apart_and_is_the_same_twice():
    prints = [ready().fingerprint, ready(seed=5).fingerprint, ready(cls=DSpritesDataModule).fingerprint]
    assert prints[0] == prints[1] != prints[2]
