"""Sets too small for a metric: a defined answer or a sentence of ours, never NaN, never another library's traceback."""

from __future__ import annotations

import itertools
import math
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from data_modules.factors import FactorSpace
from tests.conftest import mostly_slow
from wherewhat_pl.metrics import functional as F
from wherewhat_pl.metrics.image_quality import FrechetDistanceVGG, KernelDistanceVGG, PrecisionRecallVGG


def codes(count: int, scale: float = 1.0) -> np.ndarray:
    return np.random.RandomState(count).randn(count, 3) * scale


def factors(count: int, values: int = 3) -> np.ndarray:
    return np.random.RandomState(count + 100).randint(0, values, (count, 2))


def code_dependence(z: np.ndarray) -> dict[str, float]:
    scores = F.code_dependence(z)
    if scores["gaussian_total_correlation"] == math.inf:  # no more samples than codes, which then determine each other
        assert 2 <= len(z) <= z.shape[1]
        del scores["gaussian_total_correlation"]
    return scores


UNSPLIT: dict[str, Callable[..., Any]] = {
    "mig": F.mig,
    "modularity": F.modularity,
    "irs": F.irs,
    "sap_continuous": F.sap_continuous,
    "separability": lambda z, y: F.linear_separability(z, y % 2),
    "code_dependence": lambda z, _: code_dependence(z),
    "udr_lasso": lambda z, _: F.udr([z, z[:, ::-1] + 1]).scores,
    "udr_spearman": lambda z, _: F.udr([z, z[:, ::-1] + 1], correlation="spearman").scores,
}
SPLIT: dict[str, Callable[..., Any]] = {
    "sap": F.sap,
    "explicitness": F.explicitness,
    "dci": F.dci,
    "dci_sklearn": lambda *halves: F.dci(*halves, boosting="sklearn"),
}
METRICS: dict[str, Callable[..., Any]] = {"fd": FrechetDistanceVGG, "kd": KernelDistanceVGG, "pr": PrecisionRecallVGG}


def outcome(score: Callable[[], Any]) -> Any:
    """The score, checked to be finite, or the sentence of a ValueError of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy's: means of nothing, divisions by 0
        warnings.simplefilter("ignore", F.MetricWarning)
        warnings.filterwarnings("ignore", "The ``compute`` method")
        try:
            result = score()
        except ValueError as error:
            said, file = str(error), traceback.extract_tb(error.__traceback__)[-1].filename
        else:
            for part in result.values() if isinstance(result, dict) else [result]:
                assert np.isfinite(np.asarray(part, dtype=float)).all(), result
            return result
    assert "wherewhat_pl" in file, said
    assert "\n" not in said
    return said


@pytest.mark.parametrize("count", range(5))
@pytest.mark.parametrize("name", UNSPLIT)
def test_a_handful_of_samples_has_a_finite_score_or_a_sentence(name, count):
    outcome(lambda: UNSPLIT[name](codes(count), factors(count)))


@pytest.mark.parametrize(("count", "test_count"), itertools.product(range(4), range(3)))
@pytest.mark.parametrize("name", SPLIT)
def test_a_handful_in_two_halves_has_finite_scores_or_a_sentence(name, count, test_count):
    outcome(lambda: SPLIT[name](codes(count), factors(count), codes(test_count), factors(test_count)))


def test_one_sample_has_no_mutual_information_gap():
    assert "MIG: every factor has one value only in these 1 samples" in outcome(lambda: F.mig(codes(1), factors(1)))


@pytest.mark.parametrize("name", SPLIT)
def test_factors_of_a_single_class_are_a_sentence(name):
    constant = np.zeros((6, 2), int)
    said = outcome(lambda: SPLIT[name](codes(6), constant, codes(5), constant[:5]))
    assert "every factor has one value only in these 6 samples" in said


def test_a_test_half_of_one_class_is_a_sentence_where_it_has_no_area_and_an_accuracy_elsewhere():
    halves = codes(6), np.arange(6)[:, None] % 3, codes(3), np.zeros((3, 1), int)
    assert outcome(lambda: F.explicitness(*halves)) == (
        "explicitness: no factor has two known values in the test half (3 samples)"
    )
    assert 0 <= outcome(lambda: F.sap(*halves)) <= 1
    assert 0 <= outcome(lambda: F.dci(*halves))["informativeness_test"] <= 1


def test_values_unknown_in_training_are_never_predicted():
    halves = codes(6), np.arange(6)[:, None] % 3, codes(3), np.arange(3)[:, None] + 7
    assert outcome(lambda: F.dci(*halves))["informativeness_test"] == 0
    assert outcome(lambda: F.sap(*halves)) == 0


@pytest.mark.parametrize("scale", mostly_slow([1e300, 1e-310], 1))
@pytest.mark.parametrize("name", [*UNSPLIT, *SPLIT])
def test_codes_whose_squares_no_number_holds_count_as_constant(name, scale):
    if name in UNSPLIT:
        scores = [outcome(lambda z=z: UNSPLIT[name](z, factors(20))) for z in (codes(20, scale), codes(20, 0))]
    else:
        halves = factors(20), factors(10)
        scores = [
            outcome(lambda z=z, t=t: SPLIT[name](z, halves[0], t, halves[1]))
            for z, t in ((codes(20, scale), codes(10, scale)), (codes(20, 0), codes(10, 0)))
        ]
    if isinstance(scores[0], dict):
        scores = [{key: np.asarray(value).tolist() for key, value in score.items()} for score in scores]
    assert np.array_equal(scores[0], scores[1])


@pytest.mark.parametrize(("real", "generated"), [(0, 0), (1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (4, 4)])
@pytest.mark.parametrize("name", METRICS)
def test_image_quality_of_a_handful_of_images_is_a_number_or_says_how_many_it_needs(name, real, generated):
    metric = METRICS[name](embed=lambda images: images.flatten(1))
    for count, side in ((real, True), (generated, False)):
        metric.update(torch.randn(count, 2, 1, 1, generator=torch.Generator().manual_seed(count)), real=side)
    result = outcome(metric.compute)
    assert isinstance(result, str) == (min(real, generated) < metric.least_images)


@pytest.mark.parametrize("name", METRICS)
def test_image_features_that_are_not_numbers_or_of_two_kinds_are_a_sentence(name):
    for images in (torch.full((6, 2, 1, 1), math.nan), torch.zeros(6, 3, 1, 1)):
        metric = METRICS[name](embed=lambda images: images.flatten(1))
        metric.update(torch.zeros(6, 2, 1, 1), real=True)
        metric.update(images, real=False)
        assert outcome(metric.compute).startswith("image quality: ")


def test_no_neighbours_are_a_sentence():
    assert "1 neighbour or more" in outcome(lambda: F.precision_recall(torch.eye(3), torch.eye(3), neighbours=0))
    with pytest.raises(ValueError, match="1 neighbour or more"):
        PrecisionRecallVGG(embed=lambda images: images, neighbours=0)


GRIDS = [FactorSpace(tuple("ab"[: len(sizes)]), sizes) for sizes in ((1,), (2,), (1, 1), (1, 2), (2, 2))]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: str(grid.sizes))
def test_the_smallest_grids_have_scores(grid):
    table = np.random.RandomState(0).randn(grid.num_images, 2)
    assert 0 <= outcome(lambda: F.factor_vae_score(table, grid, train_votes=20, test_votes=10, prune_std=0.0)) <= 1
    assert 0 <= outcome(lambda: F.beta_vae_score(table, grid, train_points=20, test_points=10)) <= 1


@pytest.mark.parametrize(
    ("score", "settings"),
    [
        (F.factor_vae_score, {"batch": 1}),
        (F.factor_vae_score, {"variance_images": 1}),
        (F.factor_vae_score, {"train_votes": 0}),
        (F.beta_vae_score, {"batch": 0}),
        (F.beta_vae_score, {"test_points": 0}),
        (F.beta_vae_score, {"train_points": 1}),
    ],
)
def test_too_few_draws_are_a_sentence_before_anything_is_encoded(score, settings):
    said = outcome(lambda: score(lambda _: pytest.fail("encoded"), GRIDS[-1], takes="indices", **settings))
    assert f"{next(iter(settings))}={next(iter(settings.values()))}" in said


def test_attributes_other_than_0_and_1_are_a_sentence():
    assert outcome(lambda: F.linear_separability(codes(9), factors(9) - 1)).startswith("separability: attributes must")
