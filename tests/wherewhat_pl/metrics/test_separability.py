import numpy as np
import pytest

from wherewhat_pl.metrics.functional import linear_separability


@pytest.fixture
def codes():
    return np.random.default_rng(0).normal(size=(4000, 3))


def test_attributes_cut_by_planes_are_separable(codes):
    attributes = np.stack([codes[:, 0] > 0, codes @ [1, -2, 0.5] > 0.3], 1)
    assert linear_separability(codes, attributes) == pytest.approx(1, abs=0.06)


def test_attributes_that_the_codes_do_not_know_keep_their_entropy(codes):
    attributes = np.random.default_rng(1).random((4000, 2)) < 0.5
    assert linear_separability(codes, attributes) == pytest.approx(np.exp(2 * np.log(2)), rel=0.01)


def test_a_known_error_rate_gives_its_entropy(codes):
    """A tenth of the labels flipped: whichever side, the attribute is then a coin of 0.9."""
    flipped = np.random.default_rng(2).random(4000) < 0.1
    score = linear_separability(codes, ((codes[:, 0] > 0) ^ flipped)[:, None])
    coin = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert score["conditional_entropy"][0] == pytest.approx(coin, abs=0.03)


def test_units_of_the_codes_do_not_matter(codes):
    attributes = codes[:, :1] + codes[:, 1:2] > 0
    scaled = codes * [1000, 0.001, 1] + 5
    assert linear_separability(scaled, attributes) == pytest.approx(linear_separability(codes, attributes), abs=1e-3)


def test_an_attribute_that_all_have_is_left_out(codes):
    assert linear_separability(codes, np.ones((4000, 1))) == 1
