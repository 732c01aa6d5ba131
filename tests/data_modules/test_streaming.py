"""Photographs read through litdata, from a local chunked set."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

from data_modules.errors import DataError, MissingDataError
from data_modules.images import ImageFolderDataModule
from data_modules.photographs.generated_faces import write_generated_faces
from data_modules.registry import build_data

COUNT = 24


def write_chunks(folder: Path, samples: list) -> Path:
    cache = pytest.importorskip("litdata").streaming.cache.Cache(str(folder), chunk_size=5)
    for index, sample in enumerate(samples):
        cache[index] = sample
    cache.done()
    cache.merge()
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    write_generated_faces(folder, COUNT, size=32)
    return folder


@pytest.fixture(scope="module")
def chunked(faces, tmp_path_factory) -> Path:
    files = sorted(faces.glob("*.png"))
    return write_chunks(tmp_path_factory.mktemp("chunked"), [path.read_bytes() for path in files])


def ready(root, **options):
    module = build_data("stream", 16, 6, root=root, **options)
    module.setup()
    return module


def test_batches_are_those_of_the_prepared_array(faces, chunked, tmp_path):
    prepared = ImageFolderDataModule(16, 6, root=faces, cache=tmp_path, mirror=False)
    prepared.setup()
    streamed = ready(chunked)
    assert (streamed.source, streamed.num_images) == ("litdata", COUNT)
    assert streamed.images(torch.arange(COUNT)).equal(prepared.images(torch.arange(COUNT)))
    assert streamed.training_batch(600).equal(prepared.training_batch(600))


def test_a_remote_set_gives_the_same_batches(chunked, tmp_path):
    remote = ready(f"local:{chunked}", cache=tmp_path / "kept")  # litdata's own stand-in for object storage
    assert remote.training_batch(600).equal(ready(chunked).training_batch(600))
    assert remote.fingerprint == ready(chunked).fingerprint


def test_the_stream_goes_on_from_the_clock(chunked):
    module = ready(chunked)
    module.clock = lambda: 60
    stream = iter(module.train_dataloader())
    for k, batch in enumerate(islice(stream, 3)):
        assert batch.equal(module.training_batch(60 + 6 * k))
    stream.close()


def test_the_fingerprint_follows_the_images(faces, chunked, tmp_path):
    files = sorted(faces.glob("*.png"), reverse=True)
    other = write_chunks(tmp_path / "other", [path.read_bytes() for path in files])
    assert ready(chunked).fingerprint == ready(chunked).fingerprint != ready(other).fingerprint


def test_an_unreadable_image_is_replaced_by_the_next(faces, tmp_path):
    good = next(faces.glob("*.png")).read_bytes()
    module = ready(write_chunks(tmp_path / "set", [b"a text", good, good]))
    assert module.images(torch.tensor([0])).equal(module.images(torch.tensor([1])))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([b"a text"] * 12, "10 images from number 3 of .* cannot be used"),
        (["a text"], "are of type str; an image file's bytes are needed"),
        ([{1, 2}], "pickled Python objects; do not trust them"),
    ],
)
def test_samples_that_are_no_images_end_in_one_line(samples, message, tmp_path):
    root = write_chunks(tmp_path / "set", samples)
    with pytest.raises(DataError, match=message) as error:
        ready(root).images(torch.tensor([3]))
    assert "\n" not in str(error.value)


def test_a_set_that_is_not_there_is_one_line(tmp_path):
    pytest.importorskip("litdata")
    with pytest.raises(MissingDataError, match=r"no litdata set \(index.json\) in .*; make one with litdata.optimize"):
        ready(tmp_path / "nothing")


def test_without_the_library_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "litdata", None)
    with pytest.raises(DataError, match=r"needs litdata; pip install 'wherewhat-pl\[streaming\]'"):
        ready(tmp_path)
