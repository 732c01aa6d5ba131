import numpy as np
import pytest

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.threshold import otsu_threshold


def test_two_kinds_of_lengths_are_cut_half_way_between_on_a_logarithmic_scale():
    assert otsu_threshold([0.01] * 3 + [0.16] * 9) == pytest.approx(0.04)
    assert otsu_threshold([0.5, 0.02, 0.02, 0.45, 0.4]) == pytest.approx((0.02 * 0.4) ** 0.5)


def test_the_cut_leaves_the_least_squares_within_both_sides_of_all_cuts():
    random = np.random.default_rng(0)
    for _ in range(50):
        lengths = np.exp(random.normal(random.choice([-3, -1], size=20), 0.7))
        cut = otsu_threshold(random.permutation(lengths).tolist())
        logs = np.log(lengths)

        def within(place, logs=logs):
            sides = logs[logs < place], logs[logs >= place]
            return sum(((side - side.mean()) ** 2).sum() for side in sides)

        least = min(within(place) for place in np.sort(logs)[1:])
        assert within(np.log(cut)) == pytest.approx(least)


def test_how_dead_a_dimension_is_moves_nothing_below_a_thousandth():
    alive = [0.3, 0.5, 0.9, 0.02, 0.03]
    assert otsu_threshold([*alive, 1e-5]) == otsu_threshold([*alive, 1e-12])
    assert otsu_threshold([*alive, float("nan")]) == otsu_threshold(alive)


@pytest.mark.parametrize("lengths", [[], [0.0, 0.0], [0.2], [0.2, 0.2]])
def test_where_nothing_tells_dimensions_apart_there_is_no_threshold(lengths):
    with pytest.raises(ConfigError, match="threshold=auto"):
        otsu_threshold(lengths)
