"""Folders, archives and parquet files as people have them, and as somebody might send them to do harm."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from data_modules.errors import DataError
from data_modules.photographs.decoding import BadImage
from data_modules.photographs.sources import open_source


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


def write_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


IMAGES = {"b/2.png": png(2), "a/1.png": png(1), "b/10.JPG": png(10)}
NO_IMAGES = {"notes.txt": b"x", "a/.hidden.png": b"x", "__MACOSX/a/._1.png": b"x", "dataset.json": b'{"labels": null}'}


def write_folder(path: Path) -> Path:
    for name, data in {**IMAGES, **NO_IMAGES}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def test_a_folder_and_its_zip_hold_the_same_images_in_the_same_order(tmp_path):
    folder = open_source(write_folder(tmp_path / "photos"))
    archive = open_source(write_zip(tmp_path / "photos.zip", {**NO_IMAGES, **IMAGES}))
    assert folder.names == archive.names == ("a/1.png", "b/10.JPG", "b/2.png")
    for source in (folder, archive):
        read = source.reader()
        assert [read(i) for i in (2, 0, 1)] == [IMAGES[source.names[i]] for i in (2, 0, 1)]


def test_the_fingerprint_follows_names_and_contents(tmp_path):
    folder = write_folder(tmp_path / "photos")
    before = open_source(folder).fingerprint
    assert open_source(folder).fingerprint == before
    (folder / "a/1.png").write_bytes(png(1) + b"longer")
    assert open_source(folder).fingerprint != before


def test_links_are_followed_but_not_in_circles(tmp_path):
    folder = write_folder(tmp_path / "photos")
    other = tmp_path / "other"
    other.mkdir()
    (other / "linked.png").write_bytes(png(3))
    (folder / "elsewhere").symlink_to(other)
    (folder / "a/up").symlink_to(folder)
    assert open_source(folder).names == ("a/1.png", "b/10.JPG", "b/2.png", "elsewhere/linked.png")


def test_a_pipe_named_like_an_image_does_not_stop_the_reading(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BadImage, match=r"not a regular file"):
        open_source(tmp_path).reader()(0)


def jpeg(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, shade, shade)).save(buffer, "JPEG")
    return buffer.getvalue()


ODD_IMAGES = {
    "0001": png(1),
    "0002.20210304": jpeg(2),
    "a.jfif": jpeg(3),
    "b.JPE": jpeg(4),
    "c.avif": b"AV",
    "d.jp2": b"JP",
    "e.pgm": b"P5",
}
ODD_FILES = {"LICENSE": b"Permission is hereby granted", "empty": b"", "a.heic": b"x", "b.HEIC": b"x", "list.txt": b"x"}


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_whatever_pillow_reads_is_an_image_and_what_is_left_out_is_said(tmp_path, kind):
    path = tmp_path / "photos"
    if kind == "folder":
        path.mkdir()
        for name, data in {**ODD_IMAGES, **ODD_FILES}.items():
            (path / name).write_bytes(data)
        os.mkfifo(path / "pipe")  # never opened
    else:
        path = write_zip(tmp_path / "photos.zip", {**ODD_IMAGES, **ODD_FILES, "pipe": b""})
    source = open_source(path)
    assert source.names == tuple(ODD_IMAGES)
    assert source.left_out_in_words() == (
        "6 files left out, of kinds that are not read (3 without an ending, 2 .heic, 1 .txt)"
    )
    assert source.reader()(1) == ODD_IMAGES["0002.20210304"]


def test_many_kinds_of_files_left_out_are_still_one_line(tmp_path):
    write_folder(tmp_path)
    for i in range(30):
        (tmp_path / f"{i}.x{i}").touch()
    assert open_source(tmp_path).left_out_in_words().endswith("(1 .json, 1 .txt, 1 .x0, 1 .x1, 1 .x10, ...)")


def test_an_archive_packed_by_windows_has_the_same_names_as_any(tmp_path):
    # zipfile itself would write "/"
    path = write_zip(
        tmp_path / "photos.zip", {f"photos/{name}": data for name, data in IMAGES.items()} | {"photos/": b""}
    )
    windows = path.read_bytes()
    for name in [*(f"photos/{name}" for name in IMAGES), "photos/"]:
        windows = windows.replace(name.encode(), name.replace("/", "\\").encode())
    (tmp_path / "windows.zip").write_bytes(windows)
    sources = open_source(path), open_source(tmp_path / "windows.zip")
    assert sources[0].names == sources[1].names == ("photos/a/1.png", "photos/b/10.JPG", "photos/b/2.png")
    assert sources[0].fingerprint == sources[1].fingerprint
    assert [sources[1].reader()(i) for i in range(3)] == [IMAGES[name] for name in ("a/1.png", "b/10.JPG", "b/2.png")]


def test_an_archive_as_stylegan_tools_write_it_is_read(tmp_path):
    labels = {"labels": [["00000/img00000000.png", 3], ["00000/img00000001.png", 1]]}
    entries = {name: png(i) for i, (name, _) in enumerate(labels["labels"])}
    source = open_source(write_zip(tmp_path / "ffhq.zip", {**entries, "dataset.json": json.dumps(labels).encode()}))
    assert source.names == tuple(entries)


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "..\\evil.png", "../evil.txt"])
def test_an_archive_that_points_outside_is_refused(tmp_path, name):
    archive = write_zip(tmp_path / "photos.zip", {"a.png": png(1), name: png(2)})
    with pytest.raises(DataError, match=r"points outside the archive"):
        open_source(archive)
    assert [path.name for path in tmp_path.rglob("*")] == ["photos.zip"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.zip", b"PK\x05\x06" + bytes(18), "no images in .*empty.zip"),
        ("fake.zip", b"not a zip", "neither a folder nor a zip archive nor a parquet file"),
        ("cut.zip", b"PK\x05\x06" + bytes(4) + b"\x01\x00\x01\x00" + b"\xff" * 8 + bytes(2), "damaged"),
    ],
)
def test_an_archive_without_images_ends_in_one_line(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as error:
        open_source(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_place_without_images_ends_in_one_line(tmp_path):
    with pytest.raises(DataError, match=r"data.root: there is no .*nowhere"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"there are no images in"):
        open_source(tmp_path)


def test_a_damaged_entry_spoils_only_itself(tmp_path):
    path = write_zip(tmp_path / "photos.zip", IMAGES)
    data = bytearray(path.read_bytes())
    data[data.index(IMAGES["a/1.png"]) + 30] ^= 255
    path.write_bytes(data)
    read = open_source(path).reader()
    with pytest.raises(BadImage, match=r"damaged in the archive"):
        read(0)
    assert read(1) == IMAGES["b/10.JPG"]


def test_an_entry_that_would_unpack_to_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("bomb.png", bytes(2**26 + 1))
    with pytest.raises(BadImage, match=r"64 MiB file"):
        open_source(path).reader()(0)


def test_without_pyarrow_a_parquet_folder_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "train-00000.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install pyarrow"):
        open_source(tmp_path)


@pytest.mark.parametrize("nested", [True, False], ids=["bytes-and-path", "bytes"])
def test_rows_of_parquet_files_are_images(tmp_path, nested):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for file in range(2):
        shades = range(100 * file, 100 * file + 50)
        column = [{"bytes": png(shade), "path": None} if nested else png(shade) for shade in shades]
        table = pyarrow.table({"image": column, "label": list(shades)})
        parquet.write_table(table, tmp_path / f"train-{file}.parquet", row_group_size=20)
    source = open_source(tmp_path)
    assert len(source) == 100
    assert source.names[51] == "train-1.parquet#1"
    read = source.reader()
    assert [read(i) for i in (0, 1, 37, 38, 45, 60, 61, 99, 19)] == [
        png(shade) for shade in (0, 1, 37, 38, 45, 110, 111, 149, 19)
    ]


def test_a_parquet_file_without_images_says_which_column_is_missing(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"no column 'image' among text"):
        open_source(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match=r"damaged parquet file"):
        open_source(tmp_path)
