"""Drawn faces: what varies, and that nobody can take them for photographs."""

from __future__ import annotations

import dataclasses
import multiprocessing

import numpy as np
import pytest
from PIL import Image

from data_modules.celeba import read_table
from data_modules.errors import DataError
from data_modules.photographs.generated_faces import (
    NOTE,
    Face,
    cached_generated_faces,
    draw_face,
    write_generated_faces,
)


def draw(face: Face) -> np.ndarray:
    return np.asarray(draw_face(face, (64, 64), (32, 34), 22), float)


def test_every_property_of_a_face_can_be_seen():
    face = dataclasses.replace(Face.sample(np.random.default_rng(0)), glasses=False, mouth_open=0.0, smile=0.0)
    others = {
        "background": ((0, 0, 0), (9, 9, 9)),
        "shirt": (255, 0, 0),
        "skin": 1 - face.skin,
        "hair": "Black_Hair" if face.hair != "Black_Hair" else "Blond_Hair",
        "long_hair": not face.long_hair,
        "bangs": 1 - face.bangs,
        "width": (face.width + 0.5) % 1,
        "eye_size": (face.eye_size + 0.5) % 1,
        "iris": (255, 0, 255),
        "glasses": True,
        "smile": 1.0,
        "mouth_open": 1.0,
        "turn": -face.turn,
        "tilt": -face.tilt,
        "light": -1.0 if face.light > 0 else 1.0,
    }
    assert set(others) == {field.name for field in dataclasses.fields(Face)}
    for name, value in others.items():
        changed = np.abs(draw(dataclasses.replace(face, **{name: value})) - draw(face)).max(-1)
        assert (changed > 20).sum() >= 8, name  # pixels


def test_smiles_are_within_the_crop_and_named_in_the_attributes(tmp_path):
    write_generated_faces(tmp_path, 30, layout="celeba")
    names = [path.name for path in sorted((tmp_path / "img_align_celeba").iterdir())]
    columns, table = read_table(tmp_path / "list_attr_celeba.txt", names)
    faces = [Face.sample(np.random.default_rng((0, i))) for i in range(30)]
    assert (table[:, columns.index("Smiling")] == [1 if face.smile > 0.2 else -1 for face in faces]).all()
    assert {Image.open(tmp_path / "img_align_celeba" / name).size for name in names} == {(178, 218)}


def test_the_first_faces_do_not_depend_on_the_count(tmp_path):
    for count in (2, 4):
        write_generated_faces(tmp_path / str(count), count, size=32)
    for path in (tmp_path / "2").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "4" / path.name).read_bytes()
    assert (tmp_path / "2" / NOTE).read_text().count("not photographs")


def test_two_processes_at_once_draw_one_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=cached_generated_faces, args=(tmp_path, 30, 32, 0, "ffhq")) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(list(cached_generated_faces(tmp_path, 30, 32, 0, "ffhq").rglob("*.png"))) == 30


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=r"^data.cache: cannot draw faces in .*/file/cache/generated-ffhq.* \(Not a dir"
    ):
        cached_generated_faces(tmp_path / "file" / "cache", 2, 32, 0, "ffhq")
