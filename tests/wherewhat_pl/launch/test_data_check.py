import numpy as np
import pytest

from data_modules import celeba
from data_modules.photographs.generated_faces import write_generated_faces
from data_modules.verification import md5_of
from wherewhat_pl.cli import main


def status_of(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["data", *arguments])
    return stop.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["name=celeba"], "no CelebA images in {tmp}; download img_align_celeba.zip"),
        (["name=ffhq"], "no FFHQ images in {tmp}; download images1024x1024"),
        (["name=dsprites"], "{tmp}; download it there from github.com/google-deepmind/dsprites-dataset"),
        (["name=shapes3d"], "no 3dshapes.h5 in {tmp}; download it there from storage.googleapis.com/3d-shapes"),
        (["name=images"], "there are no images in {tmp}"),
        (["name=celbea"], "no such experiment; did you mean 'celeba'?"),
        (["name=celeba", "rooot=x"], "'rooot=x': data knows no such setting; did you mean 'root'?"),
        ([], "name=... is missing"),
    ],
)
def test_what_is_missing_is_one_line_that_says_where_to_get_it(arguments, message, capsys, tmp_path):
    assert status_of(*arguments, f"root={tmp_path}") == 2
    said = capsys.readouterr().err
    assert message.replace("{tmp}", str(tmp_path)) in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A CelebA of 12 faces, as complete as it can be."""
    root = tmp_path / "celeba"
    write_generated_faces(root, 12, layout="celeba")
    monkeypatch.setattr(celeba, "NUM_IMAGES", 12)
    monkeypatch.setattr(celeba, "MD5", {path.name: md5_of(path) for path in root.glob("*.txt")})
    return root


def test_a_complete_set_is_verified_and_prepared(published, capsys, tmp_path):
    assert status_of("name=celeba", f"root={published}", "resolution=32", f"cache={tmp_path / 'cache'}") == 0
    said = capsys.readouterr().out
    assert said.count("ok  ") == 3  # the number of images, both annotation files
    assert "prepared: 12 images of 32 px" in said
    (array,) = (tmp_path / "cache").glob("*/images.npy")
    assert np.load(array, mmap_mode="r").shape == (12, 3, 32, 32)


def test_a_damaged_set_is_said_and_not_prepared(published, capsys, tmp_path):
    with (published / "list_attr_celeba.txt").open("a") as file:
        file.write("\n")
    (published / "img_align_celeba" / "000001.jpg").unlink()
    assert status_of("name=celeba", f"root={published}", f"cache={tmp_path / 'cache'}") == 1
    said = capsys.readouterr().out
    assert "BAD  images: 11; the published set has 12" in said
    assert "BAD  list_attr_celeba.txt: differs from the official file; download it again" in said
    assert "not prepared" in said
    assert not (tmp_path / "cache").exists()


def test_ones_own_images_are_prepared_too(capsys, tmp_path):
    write_generated_faces(tmp_path / "photos", 4, size=32)
    arguments = (f"root={tmp_path / 'photos'}", "resolution=16", f"cache={tmp_path / 'cache'}")
    assert status_of("name=images", *arguments) == 0
    assert "prepared: 4 images of 16 px" in capsys.readouterr().out
