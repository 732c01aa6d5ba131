"""Codes of images are found again, and what one image gives to another is what its latents say, where its masks are."""

import numpy as np
import pytest
import torch
from PIL import Image

from wherewhat_pl.analysis.codes import Codes
from wherewhat_pl.analysis.edit import draw_transfer, transfer
from wherewhat_pl.analysis.project import project
from wherewhat_pl.interop.load import load
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.model import Model
from wherewhat_pl.pictures.pixels import to_uint8


@pytest.fixture
def pictures(trained, tmp_path):
    """A function: count -> paths of images that run ``a`` drew."""

    def write(count):
        model = load(trained / "a")
        images = to_uint8(model.generate(model.sample(count, seed=11))).permute(0, 2, 3, 1).numpy()
        paths = [tmp_path / f"picture{k}.png" for k in range(count)]
        for path, pixels in zip(paths, images, strict=True):
            Image.fromarray(pixels).save(path)
        return paths

    return write


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:stlpips_vgg")
@pytest.mark.parametrize("recognizer", [True, False])
def test_images_that_the_model_drew_are_found_again(trained, recognizer):
    own = load(trained / "a")
    model = own if recognizer else Model(own.generator)
    distance = PerceptualDistance()
    images = model.generate(model.sample(20, seed=5))
    found, away = project(model, images[:10], distance, steps=40, batch=5)
    between = float(distance(images[:10], images[10:]).mean())
    assert (away < 0.1 * between).sum() >= 9
    torch.testing.assert_close(distance(model.generate(found), images[:10]), away, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_project_writes_codes_that_edit_takes(trained, command, pictures, tmp_path):
    first, second, third = pictures(3)
    words = (f"run={trained / 'a'}", "steps=2")
    status, printed, _ = command("project", *words, f"images={first},{second}", f"out={tmp_path / 'p'}")
    assert status == 0
    assert "picture1.png" in printed
    model = load(trained / "a")
    codes = Codes.load(tmp_path / "p" / "codes.npz", 3)
    assert codes.names == ["picture0.png", "picture1.png"]
    with Image.open(tmp_path / "p" / "sheet.png") as sheet:
        assert sheet.size == (2 * 66 - 2, 34 + 2 * 66 - 2)

    faces = f"face={tmp_path / 'p' / 'codes.npz'}"
    status, _, complaint = command("edit", *words, faces, f"from={third}:latent 1+0", f"out={tmp_path / 'e'}")
    assert status == 0, complaint
    edited = Codes.load(tmp_path / "e" / "codes.npz", 3)
    assert torch.equal(edited.codes[:, 2], codes.codes[:, 2])
    assert torch.equal(edited.codes[0, :2], edited.codes[1, :2])
    with Image.open(tmp_path / "e" / "edited.png") as picture:
        grid = np.asarray(picture)
    words = ("columns=2", "frames=2", "formats=gif", "seeds=2", f"codes={tmp_path / 'e' / 'codes.npz'}")
    assert command("traverse", f"run={trained / 'a'}", *words, f"out={tmp_path / 't'}")[0] == 0
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["code0.png", "code1.png", "traversal.gif"]

    shown = to_uint8(model.generate(edited.codes))[1].permute(1, 2, 0).numpy()
    top, left = 17 + 34 + 66, 2 * 66
    assert np.array_equal(grid[top : top + 64 : 8, left : left + 64 : 8], shown)


def test_under_the_mask_nothing_else_changes(trained):
    model = load(trained / "a")
    codes, (source,) = model.sample(4, seed=1), model.sample(1, seed=2)
    edited = transfer(codes, source, [1])
    assert torch.equal(edited[:, 1], source[1].expand(4))
    assert torch.equal(edited[:, [0, 2]], codes[:, [0, 2]])
    before, after = model.generate(codes), model.generate(edited)
    assert torch.equal(draw_transfer(model, codes, edited, [1]), after)
    kept = draw_transfer(model, codes, edited, [1], under_mask=True)
    places = torch.maximum(model.masks(codes)[:, 1:2], model.masks(edited)[:, 1:2])
    assert ((kept - before).abs() <= 2 * places * (after - before).abs() + 1e-6).all()
    assert (kept - before).abs().max() > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["project", "images=none.png"], "images: there is no none.png"),
        (["project", "images=TEXT"], "not an image of a known format"),
        (["edit", "face=codes.npz", "from=a.png"], "from=a.png: say which latents of which image"),
        (["edit", "face=codes.npz", "from=a.png:9"], "from=9: is out of range"),
        (["edit", "face=codes.npz"], "from=... is missing"),
        (["edit", "face=none.npz", "from=none.npz:1"], "none.npz: no such file"),
        (["edit", "face=TEXT.npz", "from=TEXT.npz:1"], "holds no codes"),
    ],
)
def test_what_cannot_be_used_is_one_line(runs, command, words, said, tmp_path):
    for name in ("text.png", "text.png.npz"):
        (tmp_path / name).write_text("no image")
    words = [word.replace("TEXT", str(tmp_path / "text.png")) for word in words]
    status, _, complaint = command(words[0], f"run={runs / 'a'}", *words[1:])
    assert (status, complaint.count("\n")) == (2, 1)
    assert said in complaint
