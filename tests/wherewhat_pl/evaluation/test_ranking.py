import csv
import math
from io import StringIO

import numpy as np
import pytest
from scipy.stats import spearmanr

from wherewhat_pl.evaluation.ranking import Candidate, correlations, place_of_first, rank, spearman, tpl_objective
from wherewhat_pl.evaluation.select import correlations_csv, table


def model(name, active, total, **scores):
    return Candidate(name, 8, active, total, scores)


def names(candidates):
    return [candidate.name for candidate in candidates]


def test_the_shortest_comes_first_among_equal_numbers_of_active_dimensions():
    assert names(rank([model("long", 6, 3.0), model("short", 6, 2.0), model("middle", 6, 2.5)])) == [
        "short",
        "middle",
        "long",
    ]


@pytest.mark.parametrize("expected", [None, 0, 1, 6])
def test_a_collapsed_model_is_last_whatever_is_expected(expected):
    models = [model("collapsed", 0, 0.0), model("one", 1, 0.4), model("six", 6, 3.0)]
    assert names(rank(models, expected))[-1] == "collapsed"


def test_fewer_active_dimensions_do_not_win_by_being_shorter():
    models = [model("one", 1, 0.4), model("six", 6, 3.0), model("seven", 7, 3.5)]
    assert names(rank(models)) == ["seven", "six", "one"]
    assert names(rank(models, expected_active=6)) == ["six", "seven", "one"]


def test_the_objective_of_sweeps_has_the_same_order():
    random = np.random.default_rng(0)
    models = [model(str(k), int(random.integers(0, 6)), float(random.exponential(10))) for k in range(200)]
    models = [model(m.name, m.num_active, m.total if m.num_active else 0.0) for m in models] + [model("x", 3, math.inf)]
    ordered = sorted(models, key=lambda m: (tpl_objective(m.num_active, m.total), m.name))
    assert names(ordered) == names(rank(models))
    assert tpl_objective(0, 0.0) > max(tpl_objective(m.num_active, m.total) for m in models if m.num_active)


def test_a_length_that_is_no_number_is_last_of_its_group():
    assert names(rank([model("broken", 6, math.nan), model("sound", 6, 9.0)])) == ["sound", "broken"]


@pytest.mark.slow
def test_the_interval_holds_the_true_correlation_as_often_as_it_says():
    random, true, hits = np.random.default_rng(0), 0.6, 0
    rank_correlation = 6 / math.pi * math.asin(true / 2)  # of a bivariate normal
    for _ in range(400):
        x, y = random.multivariate_normal([0, 0], [[1, true], [true, 1]], 25).T
        found = spearman(x.tolist(), y.tolist())
        assert found.value == pytest.approx(spearmanr(x, y).statistic)
        hits += found.low <= rank_correlation <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_too_few_models_have_no_interval_or_no_correlation():
    assert math.isnan(spearman([1, 2], [1, 2]).value)
    assert math.isnan(spearman([1, 1, 1, 1], [1, 2, 3, 4]).value)
    three = spearman([1, 2, 3], [3, 2, 1])
    assert three.value == pytest.approx(-1)
    assert math.isnan(three.low)
    assert "undefined" in str(spearman([], []))


def test_a_few_models_in_perfect_order_are_no_certainty():
    four, forty = ([float(k) for k in range(count)] for count in (4, 40))
    assert spearman(four, four).value == pytest.approx(1)
    assert spearman(four, four).low < 0
    assert spearman(forty, forty).low > 0.99


def test_correlations_are_within_groups_and_leave_collapsed_models_out():
    models = [model(str(k), 6, k, mig=1 - k / 10) for k in range(5)] + [
        model("x", 7, 1, mig=0.3),
        model("c", 0, 0, mig=0),
    ]
    found = correlations(models)["mig"]
    assert list(found) == ["all", "6 active"]
    assert found["6 active"].value == pytest.approx(-1)
    assert found["all"].count == 6


def test_the_place_of_the_first_counts_those_that_are_better_by_the_score():
    ranked = [model("a", 6, 2.0, fvm=0.7, fid=3.0), model("b", 6, 2.5), model("c", 5, 2.0, fvm=0.9, fid=9.0)]
    ranked += [model("d", 4, 2.0, fvm=0.7, fid=1.0), model("collapsed", 0, 0.0, fvm=1.0, fid=0.0)]
    assert place_of_first(ranked, "fvm", "high") == (2, 3)
    assert place_of_first(ranked, "fid", "low") == (2, 3)
    assert place_of_first(ranked, "mig", "high") is None


def test_a_first_model_without_a_score_has_no_place_by_it_and_no_other_takes_it():
    ranked = [model("a", 6, 2.0, mig=0.1)] + [model(str(k), 5, 2.0 + k, fvm=0.5, mig=k / 10) for k in range(1, 5)]
    assert place_of_first(ranked, "fvm", "high") is None
    assert place_of_first([model("collapsed", 0, 0.0, fvm=1.0)], "fvm", "high") is None
    found = correlations(ranked)
    assert table(ranked, found, "tpl", "rms").endswith("TPL puts first: - by fvm, 4 of 5 by mig")
    places = {
        row["score"]: row["place of the first"]
        for row in csv.DictReader(StringIO(correlations_csv(ranked, found)))
        if row["group"] == "all"
    }
    assert places == {"fvm": "", "mig": "4"}
