"""Generated images are the model's, and a data set of them is read back with its labels."""

import csv
import math

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules.images import ImageFolderDataModule
from wherewhat_pl.analysis.codes import Codes
from wherewhat_pl.analysis.generate import draw_latents
from wherewhat_pl.interop.load import load
from wherewhat_pl.pictures.pixels import to_uint8


def test_images_and_latents_belong_together(runs, command):
    status, printed, _ = command("generate", f"run={runs / 'a'}", "n=9", "seed=3", "psi=0.5")
    assert status == 0
    folder = runs / "a" / "generated"
    assert {line.split()[1] for line in printed.splitlines()} == {
        str(folder / name) for name in ("sheet.png", "images", "codes.npz")
    }
    model = load(runs / "a")
    found = Codes.load(folder / "codes.npz", model)
    latents = found.codes
    assert torch.equal(latents, model.sample(9, 3, "generate") * 0.5)
    files = sorted((folder / "images").iterdir())
    assert [file.name for file in files] == found.names == [f"{k:06d}.png" for k in range(9)]
    drawn = to_uint8(model.generate(latents)).permute(0, 2, 3, 1).numpy()
    for file, pixels in zip(files, drawn, strict=True):
        assert np.array_equal(np.asarray(Image.open(file)), pixels)
    sheet = np.asarray(Image.open(folder / "sheet.png"))
    assert sheet.shape == (3 * 64 + 4, 3 * 64 + 4, 3)
    assert np.array_equal(sheet[66:130:8, 132:196:8], drawn[5])

    words = ("seeds=3", "columns=3", "frames=2", "formats=gif", f"codes={folder / 'codes.npz'}")
    assert command("traverse", f"run={runs / 'a'}", *words)[0] == 0
    assert len(list((runs / "a" / "traversed").glob("code*.png"))) == 3


@pytest.mark.slow
def test_a_labelled_data_set_is_read_back_from_its_folder_and_its_parquet(runs, command, tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    (runs / "a" / "latents.yaml").write_text("2: size\n")
    out = tmp_path / "set"
    assert command("generate", f"run={runs / 'a'}", "n=40", "attrs=size,0", f"out={out}")[0] == 0
    latents = Codes.load(out / "codes.npz", load(runs / "a")).codes.numpy()
    assert np.abs(latents).max() <= 2
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert list(rows[0]) == ["image", "size", "latent 0"]
    np.testing.assert_allclose([float(row["size"]) for row in rows], latents[:, 2], rtol=1e-4)
    table = pyarrow.parquet.read_table(out / "images.parquet")
    np.testing.assert_allclose(table["latent 0"].to_numpy(), latents[:, 0], rtol=1e-6)
    model = load(runs / "a")
    drawn = to_uint8(model.generate(torch.from_numpy(latents)))
    for root in (out / "images.parquet", out / "images"):
        data = ImageFolderDataModule(8, 4, root=root, cache=tmp_path / "cache")
        data.setup()
        assert data.num_images == 40
        assert torch.equal(data.images(torch.arange(40)), drawn)


@pytest.mark.slow
def test_a_second_data_set_takes_the_place_of_the_first_only_when_asked(runs, command):
    words = ("generate", f"run={runs / 'a'}", "attrs=1")
    assert command(*words, "n=5")[0] == 0
    status, _, complaint = command(*words, "n=3")
    assert status == 2
    assert "sheet.png: is there already; force=true" in complaint
    assert command(*words, "n=3", "force=1")[0] == 0
    assert len(list((runs / "a" / "generated" / "images").iterdir())) == 3


def test_truncation_keeps_the_order_and_the_normal_shape_between_the_limits(trained):
    model = load(trained / "a")
    free, cut = draw_latents(model, 4000), draw_latents(model, 4000, limit=1.0)
    assert cut.abs().max() <= 1
    assert cut.abs().max() > 0.99
    assert torch.equal(free[:, 0].argsort(), cut[:, 0].argsort())
    # The variance of a standard normal variable cut off at 1: 1 - 2 phi(1) / (2 Phi(1) - 1).
    variance = 1 - 2 * math.exp(-0.5) / math.sqrt(2 * math.pi) / math.erf(1 / math.sqrt(2))
    assert float(cut.var()) == pytest.approx(variance, rel=0.05)
    model.prior = "uniform"
    assert 0.99 < draw_latents(model, 4000, limit=1.0).abs().max() <= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["attrs=3"], "attrs=3: is out of range; this model has latents 0 to 2"),
        (["attrs=latnt 1"], "attrs=latnt 1: no latent has this name; did you mean 'latent 1'?"),
        (["attrs=1,latent 1"], "attrs: names latent 1 twice"),
        (["n=0"], "n=0: must be at least 1"),
        (["psi=-1"], "psi=-1.0: must be between 0 and 10"),
        (["limit=0"], "limit=0.0: must be above 0"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(trained, command, words, said):
    status, _, complaint = command("generate", f"run={trained / 'a'}", *words)
    assert (status, complaint.count("\n")) == (2, 1)
    assert said in complaint
    assert not (trained / "a" / "generated").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7: hue", "there is no latent 7; this model has 0 to 2"),
        ("hue: 1", "there is no latent hue"),
        ("0: {nane: hue}", "latent 0: 'nane' is none of name, sign, range"),
        ("0: {sign: 2}", "latent 0: sign must be 1 or -1, not 2"),
        ("0: {range: [2, 1]}", "latent 0: range must be two rising numbers"),
        ("0: a\n1: a", "two latents are called 'a'"),
        ("0: '12'", "would be taken for a position"),
        ("[", "cannot be read"),
        ("- a", "must hold positions and names"),
    ],
)
def test_names_that_fit_no_latent_are_one_line(runs, command, text, said):
    (runs / "a" / "latents.yaml").write_text(text)
    status, _, complaint = command("generate", f"run={runs / 'a'}")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "latents.yaml: " in complaint
    assert said in complaint
