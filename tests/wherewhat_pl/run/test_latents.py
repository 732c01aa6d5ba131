"""A file of names that says nothing is no error, and giving the last name back leaves none."""

import pytest

from wherewhat_pl.model import Latent
from wherewhat_pl.run.latents import name_latent, read_latents

PLAIN = [Latent("latent 0"), Latent("latent 1")]


@pytest.mark.parametrize("said", [None, "", "# 1: floor hue\n"])
def test_a_file_that_says_nothing_names_none_and_takes_a_name(tmp_path, said):
    file = tmp_path / "latents.yaml"
    if said is not None:
        file.write_text(said)
    assert read_latents(file, 2) == PLAIN
    assert name_latent(file, 2, 1, Latent("floor hue")) == [PLAIN[0], Latent("floor hue")]
    assert read_latents(file, 2) == [PLAIN[0], Latent("floor hue")]


def test_the_last_name_given_back_takes_the_file_away(tmp_path):
    file = tmp_path / "latents.yaml"
    name_latent(file, 2, 0, Latent("size"))
    name_latent(file, 2, 1, Latent("floor hue", -1))
    assert name_latent(file, 2, 0, PLAIN[0])[0] == PLAIN[0]
    assert file.read_text() == "1: {name: floor hue, sign: -1, range: [-2.0, 2.0]}\n"
    for _ in range(2):  # there is nothing to take away the second time
        assert name_latent(file, 2, 1, PLAIN[1]) == PLAIN
        assert not file.exists()
