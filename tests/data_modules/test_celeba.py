"""CelebA in the layouts in which it circulates."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules import celeba
from data_modules.celeba import CelebADataModule, verify_celeba
from data_modules.errors import DataError
from data_modules.photographs.generated_faces import CELEBA_ATTRIBUTES, NOTE, write_generated_faces

COUNT = 20


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """The publisher's layout, with drawn faces."""
    root = tmp_path_factory.mktemp("celeba") / "official"
    write_generated_faces(root, COUNT, layout="celeba")
    (root / NOTE).unlink()
    return root


def write_csv(text_file: Path, csv_file: Path, header: str) -> None:
    lines = [",".join(line.split()) for line in text_file.read_text().splitlines() if line.count(".jpg")]
    csv_file.write_text("\r\n".join([header, *lines]) + "\r\n")


def as_folder(official: Path, root: Path) -> Path:
    shutil.copytree(official, root)
    return root


def as_zip(official: Path, root: Path) -> Path:
    root.mkdir()
    with zipfile.ZipFile(root / "img_align_celeba.zip", "w") as archive:
        for path in sorted(official.glob("*/*.jpg")):
            archive.write(path, f"img_align_celeba/{path.name}")
    for path in official.glob("*.txt"):
        shutil.copy(path, root)
    return root


def as_published_tree(official: Path, root: Path) -> Path:
    for name, path in (("Anno", "list_attr_celeba.txt"), ("Eval", "list_eval_partition.txt")):
        (root / name).mkdir(parents=True)
        shutil.copy(official / path, root / name)
    shutil.copytree(official / "img_align_celeba", root / "Img/img_align_celeba")
    return root


def as_nested_with_csv(official: Path, root: Path) -> Path:
    shutil.copytree(official / "img_align_celeba", root / "img_align_celeba/img_align_celeba")
    header = ",".join(["image_id", *CELEBA_ATTRIBUTES])
    write_csv(official / "list_attr_celeba.txt", root / "list_attr_celeba.csv", header)
    write_csv(official / "list_eval_partition.txt", root / "list_eval_partition.csv", "image_id,partition")
    return root


def as_the_images_folder_itself(official: Path, root: Path) -> Path:
    return as_folder(official, root) / "img_align_celeba"


def as_the_archive_itself(official: Path, root: Path) -> Path:
    return as_zip(official, root) / "img_align_celeba.zip"


def as_upper_case(official: Path, root: Path) -> Path:
    as_folder(official, root)
    for path in (root / "img_align_celeba").iterdir():
        path.rename(path.with_suffix(".JPG"))
    return root


def as_a_zip_packed_by_windows(official: Path, root: Path) -> Path:
    path = as_zip(official, root) / "img_align_celeba.zip"
    path.write_bytes(path.read_bytes().replace(b"img_align_celeba/0", b"img_align_celeba\\0"))
    return root


LAYOUTS = [
    as_upper_case,
    as_a_zip_packed_by_windows,
    as_folder,
    as_zip,
    as_published_tree,
    as_nested_with_csv,
    as_the_images_folder_itself,
    as_the_archive_itself,
]


def ready(root: Path, cache: Path, **options) -> CelebADataModule:
    module = CelebADataModule(64, 4, root=root, cache=cache, **options)
    module.setup()
    return module


@pytest.fixture(scope="module")
def reference(official, tmp_path_factory) -> CelebADataModule:
    return ready(official, tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_images_attributes_and_split(official, reference, tmp_path, layout):
    module = ready(layout(official, tmp_path / "root"), tmp_path / "cache")
    assert module.fingerprint == reference.fingerprint
    assert module.num_images == COUNT
    assert module.attribute_names == CELEBA_ATTRIBUTES
    assert module.attributes.equal(reference.attributes)
    assert module.split.equal(reference.split)


@pytest.mark.parametrize("place", ["beside", "itself", "flat", "zip"])
def test_celeba_as_png_is_found_and_keeps_its_attributes(official, reference, tmp_path, place):
    root = as_folder(official, tmp_path / "root")
    (root / "img_align_celeba_png").mkdir()
    for path in (root / "img_align_celeba").iterdir():
        Image.open(path).save(root / "img_align_celeba_png" / f"{path.stem}.png")
    shutil.rmtree(root / "img_align_celeba")
    if place == "flat":
        for path in (root / "img_align_celeba_png").iterdir():
            path.rename(root / path.name)
        (root / "img_align_celeba_png").rmdir()
    if place == "zip":
        with zipfile.ZipFile(root / "img_align_celeba_png.zip", "w") as archive:
            for path in (root / "img_align_celeba_png").iterdir():
                archive.write(path, f"img_align_celeba_png/{path.name}")
        shutil.rmtree(root / "img_align_celeba_png")
    module = ready(root / "img_align_celeba_png" if place == "itself" else root, tmp_path / "cache")
    assert module.num_images == COUNT
    assert module.attributes.equal(reference.attributes)
    assert module.split.equal(reference.split)
    assert module.fingerprint == reference.fingerprint  # the same pixels


def test_attributes_and_split_are_those_of_the_files(official, reference):
    lines = (official / "list_attr_celeba.txt").read_text().splitlines()[2:]
    for row, line in enumerate(lines):
        name, *values = line.split()
        assert reference.names[row] == name
        assert reference.attributes[row].tolist() == [value == "1" for value in values]
    assert reference.attributes.shape == (COUNT, 40)
    assert reference.attributes.dtype == torch.bool
    assert reference.split_indices("train").tolist() == list(range(17))
    assert reference.split_indices("test").tolist() == [19]


def test_the_first_image_is_the_published_crop_averaged_over_2x2_pixels(official, reference):
    pixels = np.asarray(Image.open(official / "img_align_celeba/000001.jpg"), float)[57:185, 25:153]
    means = pixels.reshape(64, 2, 64, 2, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(reference.images(torch.tensor([0]))[0].numpy() - means).max() <= 1


def test_without_annotations_there_are_images_and_no_attributes(official, tmp_path):
    module = ready(shutil.copytree(official / "img_align_celeba", tmp_path / "root/faces"), tmp_path / "cache")
    assert module.num_images == COUNT
    assert module.attributes is None
    assert module.attribute_names is None
    assert module.split is None
    with pytest.raises(DataError, match=r"no list_eval_partition"):
        module.split_indices("train")


def test_attributes_stay_with_their_images_when_one_is_skipped(official, reference, tmp_path):
    root = as_folder(official, tmp_path / "root")
    (root / "img_align_celeba/000003.jpg").write_bytes(b"no image")
    module = ready(root, tmp_path / "cache", max_bad=0.05)
    assert module.num_images == COUNT - 1
    assert module.attributes.equal(reference.attributes[[i for i in range(COUNT) if i != 2]])


def test_images_that_were_not_aligned_are_refused_by_name(official, tmp_path):
    root = as_folder(official, tmp_path / "root")
    Image.new("RGB", (400, 600)).save(root / "img_align_celeba/000003.jpg")
    with pytest.raises(DataError, match=r"000003.jpg: is 400x600, not 178x218 pixels"):
        ready(root, tmp_path / "cache")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("000001.jpg 1 1 1", "line 3: 3 values instead of 40"),
        ("000001.jpg" + " yes" * 40, "line 3: not a file name and small integers"),
        ("999999.jpg" + " 1" * 40, "no line for 1 images .000001.jpg."),
    ],
)
def test_a_broken_attribute_file_is_named_with_its_line(official, tmp_path, line, message):
    root = as_folder(official, tmp_path / "root")
    lines = (root / "list_attr_celeba.txt").read_text().splitlines()
    (root / "list_attr_celeba.txt").write_text("\n".join([*lines[:2], line, *lines[3:]]))
    module = CelebADataModule(64, 4, root=root, cache=tmp_path / "cache")
    for start in (module.preview, module.setup):
        with pytest.raises(DataError, match=rf"list_attr_celeba.txt.*{message}"):
            start()
    assert not (tmp_path / "cache").exists()  # noticed before anything was prepared


def test_missing_data_says_what_to_download_and_where_to_put_it(tmp_path):
    for root in (tmp_path / "celeba", tmp_path):
        with pytest.raises(DataError, match=rf"data.root: no CelebA images in {root}; download img_align_celeba.zip"):
            ready(root, tmp_path / "cache")


def test_more_than_128_pixels_are_not_promised(tmp_path):
    with pytest.raises(DataError, match=r"data.resolution=256"):
        CelebADataModule(256, 4, root=tmp_path)


def test_only_the_whole_set_is_called_official(official, tmp_path, monkeypatch):
    assert ready(official, tmp_path).source == "folder"
    monkeypatch.setattr(celeba, "NUM_IMAGES", COUNT)
    assert ready(official, tmp_path, source="official").source == "official"


def test_generated_faces_are_drawn_on_request_and_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr("data_modules.images.GENERATED_IMAGES", 12)
    module = ready(tmp_path / "nothing here", tmp_path / "cache", source="generated")
    assert module.source == "generated"
    assert module.num_images == 12
    assert module.attributes.shape == (12, 40)
    assert not (tmp_path / "nothing here").exists()


def test_verification_tells_the_published_files_from_others(official, tmp_path, monkeypatch):
    root = as_zip(official, tmp_path / "root")
    assert [finding.ok for finding in verify_celeba(root)] == [False, False, False, False]
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in root.iterdir()}
    monkeypatch.setattr(celeba, "MD5", md5)
    monkeypatch.setattr(celeba, "NUM_IMAGES", COUNT)
    assert [finding.ok for finding in verify_celeba(root)] == [True, True, True, True]
    nested = as_nested_with_csv(official, tmp_path / "nested")
    assert [finding.ok for finding in verify_celeba(nested)] == [True, None, None]
