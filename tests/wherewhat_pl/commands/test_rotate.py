"""Which pairs of latents are axes of what they change."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from wherewhat_pl.analysis.rotate import Lattice, grid_images, ranked
from wherewhat_pl.interop.load import load
from wherewhat_pl.metrics.functional.rotation import rotation_distances
from wherewhat_pl.metrics.functional.tpl import TPLSettings, base_codes_of
from wherewhat_pl.pictures.pixels import to_uint8


class Difference:
    name = "difference"

    def features(self, images):
        return images.flatten(1)

    def between(self, one, other):
        return (one - other).abs().sum(1)


def test_the_axes_pair_comes_first_and_a_still_latent_last():
    """Latents 0 and 1 are pixels, 2 changes both at once, and 3 nothing."""

    def generate(latents):
        return torch.stack([latents[:, 0] + latents[:, 2], latents[:, 1] + latents[:, 2]], 1).view(-1, 1, 1, 2)

    pairs = [(1, 3), (0, 2), (0, 1), (2, 3)]
    order = ranked(rotation_distances(generate, 4, Difference(), pairs, grid=4, step_degrees=15))
    assert [(result.pair, moves) for result, moves in order] == [
        ((0, 1), True),
        ((0, 2), True),
        ((1, 3), False),
        ((2, 3), False),
    ]
    assert order[2][0].alignment() > 0.2, "its curve alone would deceive"


def test_the_grid_shows_the_first_latent_to_the_right_and_the_second_upwards(trained):
    model, lattice = load(trained / "a"), Lattice(3, 2.0, 90, 1, 0)
    images, values = grid_images(model, (2, 0), lattice)
    assert values.tolist() == [-2, 0, 2]
    found = images.unflatten(0, (3, 3))
    base = base_codes_of(TPLSettings(base_codes=1, seed=0), model.num_latents)[0]
    for row, up in enumerate((2, 0, -2)):
        for column, right in enumerate((-2, 0, 2)):
            code = base.clone()
            code[2], code[0] = right, up
            torch.testing.assert_close(found[row, column], model.generate(code[None])[0])


@pytest.mark.slow
def test_a_pair_by_name_and_all_pairs_in_one_pass(runs, command):
    (runs / "a" / "latents.yaml").write_text("1: object hue\n")
    status, printed, _ = command("rotate", f"run={runs / 'a'}", "dims=object hue,0", "grid=3", "step=45", "device=cpu")
    assert status == 0
    assert printed.startswith("object hue and latent 0: alignment")
    folder = runs / "a" / "rotated"
    with Image.open(folder / "latents-1-0-grid.png") as picture:
        assert picture.size == (34 + 3 * 66 - 2, 17 + 34 + 3 * 66 - 2)
        drawn = np.asarray(picture)
    images = to_uint8(grid_images(load(runs / "a"), (1, 0), Lattice(3, 4.0, 45, 1, 0))[0])
    assert np.array_equal(drawn[51 : 51 + 64 : 8, 34 : 34 + 64 : 8], images[0].permute(1, 2, 0).numpy())

    status, printed, _ = command("rotate", f"run={runs / 'a'}", "dims=all", "grid=2", "step=90")
    assert status == 0
    assert "all pairs on 2 x 2 points, every 90 degrees" in printed
    rows = list(csv.DictReader((folder / "pairs.csv").read_text().splitlines()))
    assert sorted((row["first"], row["second"]) for row in rows) == [("0", "1"), ("0", "2"), ("1", "2")]
    assert {row["first name"] for row in rows} <= {"latent 0", "object hue"}
    assert Image.open(folder / "pairs.png").width > 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dims=1"], "dims=1: name two latents, dims=3,9, or rank all pairs by dims=all"),
        (["dims=1,5"], "dims=5: is out of range; this model has latents 0 to 2"),
        (["dims=1,1"], "dims: names latent 1 twice"),
        (["dims=0,1", "step=7"], "step=7: must divide 90"),
        (["dims=0,1", "distance=l2"], "distance=l2: no such distance"),
        ([], "dims=... is missing"),
    ],
)
def test_what_cannot_be_rotated_is_one_line(trained, command, words, said):
    status, _, complaint = command("rotate", f"run={trained / 'a'}", *words)
    assert (status, complaint.count("\n")) == (2, 1)
    assert said in complaint
