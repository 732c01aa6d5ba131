"""Anybody's photographs as a data module: the same batches wherever the array lies, and errors in one line."""

from __future__ import annotations

import shutil
import threading
import zipfile
from itertools import islice
from pathlib import Path

import pytest
import torch

from data_modules.base import BatchStream
from data_modules.errors import DataError
from data_modules.images import ImageFolderDataModule
from data_modules.photographs import prepare as preparation
from data_modules.photographs.generated_faces import NOTE, write_generated_faces
from data_modules.prefetch import PrefetchedStream
from data_modules.registry import DATA_MODULES, build_data
from data_modules.residency import fits_on_accelerator


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "photos"
    write_generated_faces(folder, 20, size=32)
    (folder / NOTE).unlink()  # as if they were somebody's own
    return folder


def make(root: Path, cache: Path, **options) -> ImageFolderDataModule:
    return ImageFolderDataModule(16, 6, root=root, cache=cache, **options)


def ready(root: Path, cache: Path, **options) -> ImageFolderDataModule:
    module = make(root, cache, **options)
    module.setup()
    return module


def test_a_folder_of_photographs_becomes_training_batches(photos, tmp_path):
    module = ready(photos, tmp_path)
    assert (module.name, module.source, module.channels, module.num_images) == ("images", "folder", 3, 20)
    assert module.images(torch.arange(20)).shape == (20, 3, 16, 16)
    batch = module.training_batch(0)
    assert batch.shape == (6, 3, 16, 16)
    assert batch.dtype == torch.float32
    assert batch.min() >= -1
    assert batch.max() <= 1
    assert batch.std() > 0.1


def test_the_same_images_in_a_zip_have_the_same_fingerprint_and_batches(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in photos.glob("*.png"):
            archive.write(path, path.name)
    folder, archived = ready(photos, tmp_path), ready(tmp_path / "photos.zip", tmp_path)
    assert archived.source == "zip"
    assert archived.fingerprint == folder.fingerprint
    assert archived.training_batch(600).equal(folder.training_batch(600))


def test_what_is_left_out_is_said_at_the_start_and_by_verification(photos, tmp_path, caplog):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "holiday.heic").write_bytes(b"x")
    with caplog.at_level("INFO"):
        module = ready(folder, tmp_path)
    said = "1 files left out, of kinds that are not read (1 .heic)"
    assert f"data: {folder}: 20 images; {said}" in caplog.text
    assert module.verify()[1].detail == said


@pytest.mark.parametrize("name", DATA_MODULES)
def test_a_tilde_means_home_in_every_path(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    module = build_data(name, 16, 4, root="~/photos", cache="~/cache")
    assert str(module.root) == str(tmp_path / "photos")
    if name not in ("shapes3d", "dsprites"):
        assert str(module.cache) == str(tmp_path / "cache")


def test_other_images_have_another_fingerprint(photos, tmp_path):
    write_generated_faces(tmp_path / "others", 20, size=32, seed=1)
    assert ready(photos, tmp_path).fingerprint != ready(tmp_path / "others", tmp_path).fingerprint


def test_batches_are_the_same_from_the_memory_map_and_from_the_device(photos, tmp_path):
    mapped, resident = ready(photos, tmp_path), ready(photos, tmp_path)
    resident._on_device = resident._load_to_device()
    for images_seen in (0, 6, 6000):
        assert mapped.training_batch(images_seen).equal(resident.training_batch(images_seen))


def test_an_array_goes_to_the_accelerator_only_within_its_share(photos, tmp_path, monkeypatch):
    module = ready(photos, tmp_path)
    size = module.num_images * module._image_bytes
    assert size == 20 * 3 * 16 * 16
    assert not fits_on_accelerator(size, torch.device("cpu"))
    for free, total, fits in [(8 * size, 8 * size, True), (size // 2, 8 * size, False), (3 * size, 3 * size, False)]:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, memory=(free, total): memory)
        assert fits_on_accelerator(size, torch.device("cuda")) is fits


def test_batches_made_ahead_are_the_plain_ones_and_go_on_from_the_clock(photos, tmp_path):
    module = ready(photos, tmp_path)
    plain = BatchStream(module.training_batch, lambda: 600, 6)
    ahead = iter(PrefetchedStream(module.training_batch, lambda: 600, 6, module.device))
    for expected, batch in zip(islice(plain, 12), ahead, strict=False):
        assert batch.equal(expected)
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]


def test_an_error_in_a_background_thread_reaches_the_training():
    def broken(_: int) -> torch.Tensor:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match=r"the disk is gone"):
        next(iter(PrefetchedStream(broken, lambda: 0, 6, torch.device("cpu"))))


def test_skipped_images_are_never_drawn(photos, tmp_path):
    folder = tmp_path / "photos"
    write_generated_faces(folder, 20, size=32)
    (folder / "face_000004.png").write_bytes(b"no image")
    whole, module = ready(photos, tmp_path), ready(folder, tmp_path, max_bad=0.05)
    assert module.num_images == 19
    assert "face_000004.png" not in module.names
    kept = torch.tensor([i for i in range(20) if i != 4])
    assert module.images(torch.arange(19)).equal(whole.images(kept))


def test_an_index_outside_is_an_error_and_not_another_image(photos, tmp_path):
    with pytest.raises(IndexError, match=r"outside 0..19"):
        ready(photos, tmp_path).images(torch.tensor([20]))


def test_mirroring_flips_about_half_of_the_images(photos, tmp_path):
    mirrored, plain = ready(photos, tmp_path), ready(photos, tmp_path, mirror=False)
    flipped = 0
    for images_seen in range(0, 600, 6):
        for one, other in zip(mirrored.training_batch(images_seen), plain.training_batch(images_seen), strict=True):
            flipped += one.equal(other.flip(-1))
            assert one.equal(other) or one.equal(other.flip(-1))
    assert 240 < flipped < 360


def test_a_second_start_needs_no_decoding(photos, tmp_path, monkeypatch):
    ready(photos, tmp_path)
    monkeypatch.setattr(preparation, "decode", None)
    assert ready(photos, tmp_path).num_images == 20


def test_small_images_are_enlarged_and_that_is_said(photos, tmp_path, caplog):
    module = ImageFolderDataModule(64, 6, root=photos, cache=tmp_path)
    module.setup()
    assert module.images(torch.arange(2)).shape == (2, 3, 64, 64)
    assert "20 images are smaller than data.resolution=64" in caplog.text


def test_generated_faces_never_pass_for_photographs(tmp_path):
    write_generated_faces(tmp_path / "faces", 3, size=32)
    assert ready(tmp_path / "faces", tmp_path).source == "generated"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": "nowhere"}, "data.root: there is no .*nowhere"),
        ({"source": "rendered"}, "data.source=rendered: must be one of auto, files, generated for data.name=images"),
        ({"source": "official"}, "data.source=official: must be one of auto, files, generated for data.name=images"),
        ({"max_bad": 2}, "data.max_bad=2: must be a share"),
    ],
)
def test_a_users_mistake_ends_in_one_line_that_names_the_key(photos, tmp_path, options, message):
    with pytest.raises(DataError, match=message) as error:
        ready(**{"root": photos, "cache": tmp_path, **options})
    assert "\n" not in str(error.value)


def test_a_folder_without_a_single_good_image_is_an_error(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/holiday.jpg").write_text("a text")
    with pytest.raises(DataError, match=r"none of the 1 images"):
        ready(tmp_path / "photos", tmp_path, max_bad=1)
