import numpy as np
import pytest
from scipy.stats import t

from wherewhat_pl.evaluation.comparison import against_best, holm, welch


def test_welch_is_its_formula():
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, 3), random.normal(1, 3, 5)
    a, b = one.var(ddof=1) / 3, other.var(ddof=1) / 5
    freedom = (a + b) ** 2 / (a**2 / 2 + b**2 / 4)
    statistic = (one.mean() - other.mean()) / np.sqrt(a + b)
    assert welch(one.tolist(), other.tolist()) == pytest.approx(2 * t.sf(abs(statistic), freedom))


def test_without_any_spread_equal_is_equal_and_else_is_not():
    assert welch([0.5, 0.5], [0.5, 0.5, 0.5]) == 1
    assert welch([0.5, 0.5], [0.4, 0.4]) == 0


def test_holm_multiplies_the_smallest_by_the_number_of_all_and_never_falls():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.slow
def test_by_chance_a_group_is_told_apart_from_the_best_of_two_as_often_as_the_level_says():
    random, hits = np.random.default_rng(0), 0
    for _ in range(400):
        p_values = against_best(random.normal(size=(2, 5)).tolist(), "high")
        hits += min(p_values) < 0.05
    assert 0.02 <= hits / 400 <= 0.08


def test_each_is_held_against_the_best_and_one_seed_against_nobody():
    groups = [[0.1, 0.2, 0.3], [0.7, 0.8, 0.9], [0.75, 0.8], [5.0], []]
    low, best, near, single, none = against_best(groups, "high")
    p_low, p_near = (welch(groups[k], groups[1]) for k in (0, 2))
    assert p_low < p_near
    assert [low, best, near] == pytest.approx([2 * p_low, 1, p_near])
    assert single is none is None
    assert against_best(groups, "low")[0] == 1
    assert against_best([[1.0, 2.0], [3.0]], "high") == [None, None]
