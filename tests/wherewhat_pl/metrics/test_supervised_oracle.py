"""The supervised metrics give disentanglement_lib's values on the same samples and the same random stream."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import mutual_info_score
from sklearn.svm import LinearSVC

from tests.conftest import mostly_slow
from wherewhat_pl.metrics import functional as F
from wherewhat_pl.metrics.numerics.boosted_trees import boost, sort_codes

pytestmark = pytest.mark.filterwarnings("ignore::wherewhat_pl.metrics.functional.MetricWarning")


def test_mig_is_the_reference_s(case):
    score, expected = F.mig(case.train, case.train_factors), case.scores["mig"]["scores"]
    assert score == pytest.approx(expected["discrete_mig"], abs=1e-12)
    np.testing.assert_allclose(score["mutual_information"], expected["mutual_information"], atol=1e-12)
    np.testing.assert_allclose(score["entropy"], expected["entropy"], atol=1e-12)
    np.testing.assert_allclose(score["per_factor"], expected["mig_per_factor"], atol=1e-12)
    assert F.mig(torch.from_numpy(case.train), torch.from_numpy(case.train_factors)) == score


def test_mutual_information_is_scikit_learn_s_for_any_labels():
    random = np.random.RandomState(0)
    codes = random.randn(500, 2)
    factors = np.stack([random.randint(-3, 3, 500), random.choice([7, 10**9], 500)], axis=1)
    binned = [np.digitize(code, np.histogram(code, 7)[1][:-1]) for code in codes.T]
    expected = [[mutual_info_score(factor, code) for factor in factors.T] for code in binned]
    np.testing.assert_allclose(F.mutual_information(codes, factors, bins=7), expected, atol=1e-12)
    expected_entropies = [mutual_info_score(f, f) for f in factors.T]
    np.testing.assert_allclose(F.factor_entropies(factors), expected_entropies, atol=1e-12)


def test_sap_is_the_reference_s(case):
    score, expected = F.sap(*case.halves), case.scores["sap_discrete"]["scores"]
    assert score == pytest.approx(expected["SAP_score"], abs=1e-12)
    np.testing.assert_allclose(score["accuracy"], expected["score_matrix"], atol=1e-12)


def test_sap_continuous_is_the_reference_s(case):
    score, expected = F.sap_continuous(case.train, case.train_factors), case.scores["sap_continuous"]["scores"]
    assert score == pytest.approx(expected["SAP_score"], abs=1e-9)
    np.testing.assert_allclose(score["squared_correlation"], expected["score_matrix"], atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_sap_accuracies_are_those_of_linear_svc(seed):
    random = np.random.RandomState(seed)
    samples = random.choice([40, 200, 1500])
    factors = np.stack([random.randint(size, size=samples + 300) for size in (2, 3, random.randint(2, 30))], axis=1)
    codes = random.randn(samples + 300, 3) * np.exp(2 * random.randn(3)) + random.randn(3) + factors[:, [0, 2, 1]]
    halves = codes[:samples], factors[:samples], codes[samples:], factors[samples:]
    expected = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            model = LinearSVC(C=0.01, class_weight="balanced").fit(halves[0][:, i : i + 1], halves[1][:, j])
            expected[i, j] = np.mean(model.predict(halves[2][:, i : i + 1]) == halves[3][:, j])
    np.testing.assert_allclose(F.sap(*halves)["accuracy"], expected, atol=1.5 / 300)  # a sample on the boundary


def test_modularity_is_the_reference_s(case):
    scores = case.scores["modularity_explicitness_lbfgs"]
    expected = scores.get("modularity_score", scores.get("scores", {}).get("modularity_score"))
    assert F.modularity(case.train, case.train_factors) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_explicitness_is_the_reference_s_and_survives_a_constant_code(case, case_name):
    some = case.train[:3000], case.train_factors[:3000], case.test[:1000], case.test_factors[:1000]
    if case_name == "mix":
        score, expected = F.explicitness(*case.halves), case.scores["modularity_explicitness_lbfgs"]["scores"]
        assert score == pytest.approx(expected["explicitness_score_test"], abs=1e-5)
        assert score["train"] == pytest.approx(expected["explicitness_score_train"], abs=1e-5)
    else:
        assert 0.99 < F.explicitness(*some) <= 1


def test_irs_is_the_reference_s(case):
    score, expected = F.irs(case.train, case.train_factors), case.scores["irs"]["scores"]
    assert score == pytest.approx(expected["IRS"], abs=1e-6)
    np.testing.assert_allclose(score["matrix"], expected["detail"]["IRS_matrix"], atol=1e-6)
    np.testing.assert_array_equal(score["parents"], expected["detail"]["parents"])
    worst = F.irs(case.train, case.train_factors, quantile=1.0)
    assert worst == pytest.approx(case.scores["irs_quantile_1.0"]["scores"]["IRS"], abs=1e-6)


def test_code_dependence_is_the_reference_s_where_that_is_defined(case):
    for name, value in F.code_dependence(case.train).items():
        expected = float(case.scores["unsupervised"]["scores"][name])
        assert np.isfinite(value)
        assert np.isnan(expected) or value == pytest.approx(expected, abs=1e-6), name


@pytest.mark.parametrize("threshold", ["0.05", "0.1"])
def test_factor_vae_votes_are_the_reference_s(case, case_name, code_tables, oracle_space, threshold):
    score = F.factor_vae_score(code_tables[case_name], oracle_space, prune_std=float(threshold))
    expected = case.scores[f"factor_vae_thr{threshold}"]["scores"]
    assert (float(score), score["train_accuracy"]) == (expected["eval_accuracy"], expected["train_accuracy"])
    np.testing.assert_array_equal(score["train_votes"], expected["train_votes"])
    np.testing.assert_array_equal(score["eval_votes"], expected["eval_votes"])
    np.testing.assert_array_equal(score["variances"].astype(np.float32), np.float32(expected["global_variances"]))
    assert score["num_active"] == expected["true_num_active_dims"]


def test_without_a_threshold_a_constant_code_wins_no_vote(code_tables, oracle_space):
    assert F.factor_vae_score(code_tables["axis"], oracle_space, prune_std=0.0) == 1.0  # the reference: 0.174


def test_beta_vae_points_are_the_reference_s(case, case_name, code_tables, oracle_space, oracle_arrays):
    score = F.beta_vae_score(code_tables[case_name], oracle_space)
    for part, rows in (("train", slice(10_000)), ("eval", slice(10_000, None))):
        np.testing.assert_array_equal(score["points"][rows], oracle_arrays[f"bvm_points_{part}_{case_name}"])
        np.testing.assert_array_equal(score["labels"][rows], oracle_arrays[f"bvm_labels_{part}_{case_name}"])
    expected = case.scores["beta_vae_sklearn_lbfgs"]["scores"]
    assert score == pytest.approx(expected["eval_accuracy"], abs=1e-3)  # the solver stops at its own tolerance
    assert score["train_accuracy"] == pytest.approx(expected["train_accuracy"], abs=1e-3)


@pytest.mark.slow
def test_boosted_importances_of_the_shape_are_the_reference_s(case):
    small = sort_codes(case.train[:1000])
    ensemble = boost(small, case.train_factors[:1000, 4].astype(np.int64), case.test[:500])
    expected = np.array(case.scores["dci_small_1000_500_seed0"]["scores"]["importance_matrix"])[:, 4]
    np.testing.assert_allclose(ensemble.importances, expected, atol=0.01)


@pytest.mark.parametrize("classes", mostly_slow([2, 3], fast=1))
def test_boosted_trees_are_scikit_learn_s(classes):
    random = np.random.RandomState(classes)
    codes = random.randn(300, 3).round(1)  # with ties
    labels = np.digitize(codes[:, 0] + 0.5 * codes[:, 1] ** 2 + 0.3 * random.randn(300), [-0.2, 0.9][: classes - 1])
    model = GradientBoostingClassifier(random_state=0).fit(codes[:200], labels[:200])
    own = boost(sort_codes(codes[:200]), labels[:200], codes[200:])
    np.testing.assert_allclose(own.importances, model.feature_importances_, atol=0.01)
    assert np.mean(own.predicted_train == model.predict(codes[:200])) > 0.99
    assert np.mean(own.predicted_test == model.predict(codes[200:])) > 0.96


@pytest.mark.slow
def test_dci_is_the_reference_s(case):
    small = case.train[:1000], case.train_factors[:1000], case.test[:500], case.test_factors[:500]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", F.MetricWarning)
        scores = F.dci(*small)
    expected = case.scores["dci_small_1000_500_seed0"]["scores"]
    for name in ("disentanglement", "completeness", "informativeness_train", "informativeness_test"):
        assert scores[name] == pytest.approx(expected[name], abs=0.01), name
    np.testing.assert_allclose(scores["importance_matrix"], expected["importance_matrix"], atol=0.02)
