"""FFHQ in the layouts in which it circulates."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules import ffhq
from data_modules.errors import DataError
from data_modules.ffhq import FFHQDataModule, verify_ffhq
from data_modules.photographs.generated_faces import NOTE, write_generated_faces

COUNT = 12


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """The publisher's layout, with drawn faces of 64 pixels."""
    root = tmp_path_factory.mktemp("ffhq") / "official"
    write_generated_faces(root, COUNT, size=64, layout="ffhq")
    (root / NOTE).unlink()
    return root


def images(official: Path) -> list[Path]:
    return sorted(official.rglob("*.png"))


def as_subfolders(official: Path, root: Path) -> Path:
    shutil.copytree(official, root)
    (root / "in-the-wild-images").mkdir()  # the photographs from which the faces were cut: not to be used
    Image.new("RGB", (64, 64)).save(root / "in-the-wild-images/00000.png")
    return root


def as_flat_folder(official: Path, root: Path) -> Path:
    (root / "images1024x1024").mkdir(parents=True)
    for path in images(official):
        shutil.copy(path, root / "images1024x1024")
    return root


def as_thumbnails(official: Path, root: Path) -> Path:
    shutil.copytree(official / "images1024x1024", root / "thumbnails128x128")
    return root


def as_stylegan_zip(official: Path, root: Path) -> Path:
    root.mkdir()
    with zipfile.ZipFile(root / "ffhq-64x64.zip", "w", zipfile.ZIP_STORED) as archive:
        for i, path in enumerate(images(official)):
            archive.write(path, f"00000/img{i:08d}.png")
        archive.writestr("dataset.json", json.dumps({"labels": None}))
    return root


def as_the_images_folder_itself(official: Path, root: Path) -> Path:
    return as_subfolders(official, root) / "images1024x1024"


def as_the_archive_itself(official: Path, root: Path) -> Path:
    return as_stylegan_zip(official, root) / "ffhq-64x64.zip"


def as_hugging_face_parquet(official: Path, root: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (root / "data").mkdir(parents=True)
    rows = [{"bytes": path.read_bytes(), "path": path.name} for path in images(official)]
    for shard in range(2):
        table = pyarrow.table({"image": rows[shard * 6 : shard * 6 + 6]})
        parquet.write_table(table, root / f"data/train-{shard:05d}-of-00002.parquet", row_group_size=4)
    return root


LAYOUTS = [
    as_subfolders,
    as_flat_folder,
    as_thumbnails,
    as_stylegan_zip,
    as_the_images_folder_itself,
    as_the_archive_itself,
    as_hugging_face_parquet,
]


def ready(root: Path, cache: Path, resolution: int = 32, **options) -> FFHQDataModule:
    module = FFHQDataModule(resolution, 4, root=root, cache=cache, **options)
    module.setup()
    return module


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_images(official, tmp_path, layout):
    module = ready(layout(official, tmp_path / "root"), tmp_path / "cache")
    assert module.num_images == COUNT
    pixels = np.stack([np.asarray(Image.open(path), float) for path in images(official)])
    means = pixels.reshape(COUNT, 32, 2, 32, 2, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    assert np.abs(module.images(torch.arange(COUNT)).numpy() - means).max() <= 1


def test_thumbnails_are_not_enlarged(official, tmp_path):
    with pytest.raises(DataError, match=r"data.resolution=256: .*thumbnails128x128 has 128 pixels; get images"):
        ready(as_thumbnails(official, tmp_path / "root"), tmp_path / "cache", resolution=256)


def test_of_two_archives_the_user_chooses(official, tmp_path):
    root = as_stylegan_zip(official, tmp_path / "root")
    shutil.copy(root / "ffhq-64x64.zip", root / "ffhq-256x256.zip")
    with pytest.raises(DataError, match=r"2 zip archives in .*; set data.root to the one to use"):
        ready(root, tmp_path / "cache")


def test_missing_data_says_what_to_download_and_where_to_put_it(tmp_path):
    for root in (tmp_path / "ffhq", tmp_path):
        with pytest.raises(DataError, match=rf"data.root: no FFHQ images in {root}; download images1024x1024"):
            ready(root, tmp_path / "cache")


def test_only_the_whole_set_is_called_official(official, tmp_path, monkeypatch):
    assert ready(official, tmp_path / "cache").source == "folder"
    monkeypatch.setattr(ffhq, "NUM_IMAGES", COUNT)
    assert ready(official, tmp_path / "cache").source == "official"
    assert ready(as_thumbnails(official, tmp_path / "root"), tmp_path / "cache").source == "official thumbnails"


@pytest.mark.parametrize("layout", [as_subfolders, as_flat_folder, as_thumbnails])
def test_verification_finds_the_file_that_differs(official, tmp_path, monkeypatch, layout):
    monkeypatch.setattr(ffhq, "NUM_IMAGES", COUNT)
    root = layout(official, tmp_path / "root")
    assert [finding.ok for finding in verify_ffhq(root)] == [True, None]
    metadata = {}
    for i, path in enumerate(images(official)):
        entry = {"file_size": path.stat().st_size, "file_md5": hashlib.md5(path.read_bytes()).hexdigest()}
        metadata[str(i)] = {
            kind: {"file_url": "somewhere", "file_path": f"{folder}/00000/{path.name}", **entry, "pixel_size": [64, 64]}
            for kind, folder in (("image", "images1024x1024"), ("thumbnail", "thumbnails128x128"))
        }
    (root / "ffhq-dataset-v2.json").write_text(json.dumps(metadata))
    assert [finding.ok for finding in verify_ffhq(root)] == [True, True]
    next(path for path in root.rglob("00007.png")).write_bytes(b"something else")
    count, checksums = verify_ffhq(root)
    assert count.ok
    assert checksums.ok is False
    assert "1 of 12 files missing or different (00007.png" in str(checksums)
