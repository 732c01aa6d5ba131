"""What must hold for the supervised metrics whatever the codes are."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from data_modules.factors import FactorSpace
from tests.conftest import mostly_slow
from wherewhat_pl.metrics import functional as F
from wherewhat_pl.metrics.numerics.reference_draws import draw_points, encode_images

SPACE = FactorSpace(("a", "b", "c"), (4, 5, 3))


def samples(count: int, seed: int = 0) -> np.ndarray:
    return SPACE.sample(count, torch.Generator().manual_seed(seed)).numpy()


def permuted_flipped_rescaled(factors: np.ndarray) -> np.ndarray:
    return factors[:, [2, 0, 1]] * np.array([-3.0, 0.5, 10.0]) + np.array([1.0, -2.0, 0.0])


def halves(make, count: int = 600):
    train, test = samples(count, 1), samples(count // 2, 2)
    return make(train), train, make(test), test


def noise(factors: np.ndarray) -> np.ndarray:
    return np.random.RandomState(len(factors)).randn(len(factors), 4)


def test_perfect_codes_get_the_best_score():
    factors = samples(2000)
    codes = permuted_flipped_rescaled(factors)
    assert F.mig(codes, factors) > 0.97  # the samples' own small dependence is left
    assert F.modularity(codes, factors) > 0.999
    assert F.irs(codes, factors) == 1.0
    data = halves(permuted_flipped_rescaled)
    assert F.explicitness(*data) == pytest.approx(1.0) or F.explicitness(*data) > 0.8  # middle values are not linear
    scores = F.dci(*data)
    for name in ("disentanglement", "completeness", "informativeness_train", "informativeness_test"):
        assert scores[name] == pytest.approx(1.0, abs=1e-6), name
    table = permuted_flipped_rescaled(SPACE.all().numpy())
    assert F.factor_vae_score(table, SPACE, train_votes=400, test_votes=200) == 1.0
    assert F.beta_vae_score(table, SPACE, train_points=400, test_points=200) == 1.0


@pytest.mark.slow
def test_random_codes_get_a_score_near_nothing():
    factors = samples(4000)
    assert F.mig(noise(factors), factors) < 0.01
    data = halves(noise)
    assert F.sap(*data) < 0.1
    assert abs(F.explicitness(*data) - 0.5) < 0.06
    assert F.dci(*data)["disentanglement"] < 0.1
    table = np.random.RandomState(0).randn(SPACE.num_images, 4)
    assert F.factor_vae_score(table, SPACE, train_votes=400, test_votes=200) < 0.75


def test_scores_do_not_depend_on_the_order_and_scale_of_codes():
    factors = samples(1000)
    codes = factors + 0.7 * np.random.RandomState(0).randn(1000, 3)
    other = codes[:, [1, 2, 0]] * np.array([2.0, 8.0, 0.5])  # powers of two keep the bins' edges exact
    for metric in (F.mig, F.modularity):
        assert metric(other, factors) == pytest.approx(float(metric(codes, factors)), abs=1e-9)
    # IRS weights codes by their largest deviation, so it sees their relative scales, but not a common one.
    assert F.irs(-4 * codes[:, [1, 2, 0]], factors) == pytest.approx(float(F.irs(codes, factors)), abs=1e-9)


@pytest.mark.parametrize("value", mostly_slow([0.1, 0.0, np.nan, np.inf], 1))
def test_an_unusable_code_changes_no_gap_and_is_said(value):
    factors = samples(1000)
    codes = factors + 0.3 * np.random.RandomState(0).randn(1000, 3)
    column = np.full((1000, 1), value if np.isfinite(value) else 1.0)
    column[:500] = value
    with_it = np.concatenate([codes, column], axis=1)
    word = "constant, without information" if np.isfinite(value) else "NaN or infinite"
    for metric in (F.mig, F.irs):
        with pytest.warns(F.MetricWarning, match=word):
            assert metric(with_it, factors) == pytest.approx(float(metric(codes, factors)))
    with pytest.warns(F.MetricWarning, match=word):
        assert F.modularity(with_it, factors) == pytest.approx(0.75 * F.modularity(codes, factors))
    data = with_it[:600], factors[:600], with_it[600:], factors[600:]
    for score in (F.sap, F.explicitness, F.dci):
        with pytest.warns(F.MetricWarning, match="constant"):
            result = score(*data)
        assert np.isfinite(result["disentanglement"] if isinstance(result, dict) else result)
    with pytest.warns(F.MetricWarning, match=word):
        assert all(np.isfinite(v) for v in F.code_dependence(with_it).values())
    table = SPACE.all().numpy().astype(float)
    table = np.concatenate([table, np.full((len(table), 1), value)], axis=1)
    with pytest.warns(F.MetricWarning):
        score = F.factor_vae_score(table, SPACE, train_votes=100, test_votes=100, prune_std=0.0)
    assert score == 1.0
    assert score["active"].tolist() == [True, True, True, False]
    with pytest.warns(F.MetricWarning):
        assert F.beta_vae_score(table, SPACE, train_points=200, test_points=100) > 0.95


def test_codes_of_any_precision_and_of_the_smallest_spread_have_a_score():
    factors = samples(1000)
    for values in (np.float32([1, 1 + 2**-23]), np.float64([1, 1 + 2**-52])):
        assert np.isfinite(F.mig(values[(factors > 1).astype(int)], factors))
    codes = torch.from_numpy(factors).to(torch.bfloat16)
    assert F.mig(codes, factors) == F.mig(codes.half(), factors) == F.mig(factors, factors)


@pytest.mark.filterwarnings("ignore::wherewhat_pl.metrics.functional.MetricWarning")
def test_a_collapsed_encoder_scores_nothing():
    factors = samples(300)
    codes = np.zeros((300, 3))
    data = codes, factors, codes, factors
    assert F.mig(codes, factors) == F.modularity(codes, factors) == F.irs(codes, factors) == F.sap(*data) == 0
    scores = F.dci(*data)
    assert scores["disentanglement"] == scores["completeness"] == 0
    assert F.explicitness(*data) == 0.5
    score = F.factor_vae_score(np.zeros((SPACE.num_images, 3)), SPACE)
    assert (score, score["num_active"]) == (0, 0)
    assert set(F.code_dependence(codes).values()) == {0.0}
    assert F.udr([codes, codes]).scores.tolist() == [0, 0]


@pytest.mark.slow
def test_a_factor_with_one_value_is_left_out_and_said():
    factors = samples(400)
    codes = factors + 0.1 * np.random.RandomState(0).randn(400, 3)
    more = np.concatenate([factors, np.full((400, 1), 7)], axis=1)
    with pytest.warns(F.MetricWarning, match="factor 3 is constant"):
        assert F.mig(codes, more) == F.mig(codes, factors)
    with pytest.warns(F.MetricWarning, match="SAP: factor 3"):
        assert F.sap(codes, more, codes, more) == F.sap(codes, factors, codes, factors)
    with pytest.warns(F.MetricWarning, match="DCI: factor 3"):
        own, plain = F.dci(codes, more, codes, more), F.dci(codes, factors, codes, factors)
    assert own["disentanglement"] == plain["disentanglement"]
    with pytest.raises(ValueError, match="every factor has one value"):
        F.mig(codes, np.zeros((400, 2), int))


def test_wrong_inputs_are_one_sentence():
    factors = samples(10)
    with pytest.raises(ValueError, match=r"codes: expected shape \[samples, codes\], got \[10\]"):
        F.mig(np.zeros(10), factors)
    with pytest.raises(ValueError, match="10 samples but factors has 9"):
        F.mig(factors + 0.5, factors[:9])
    with pytest.raises(ValueError, match="expected integers"):
        F.mig(factors + 0.5, factors + 0.5)
    with pytest.raises(ValueError, match="do not fit"):
        F.sap(factors, factors, factors[:, :2], factors)
    with pytest.raises(ValueError, match=r"a table needs shape \[60, codes\]"):
        F.factor_vae_score(np.zeros((10, 2)), SPACE)
    with pytest.raises(ValueError, match="presorted"):
        F.dci(factors, factors, factors, factors, boosting="fast")  # type: ignore[arg-type]


@pytest.mark.parametrize("pairs", [False, True])
def test_bulk_draws_are_the_loop_of_randint(pairs):
    space, loop = FactorSpace(("a", "b", "c", "d"), (3, 1, 8, 300)), np.random.RandomState(5)
    alone, shared, indices = draw_points(space, 300, 7, seed=5, pairs=pairs, singles=11)
    bases = np.array(space.bases)
    np.testing.assert_array_equal(alone, np.stack([loop.randint(size, size=11) for size in space.sizes], 1) @ bases)
    for own, images in zip(shared, indices, strict=True):
        assert own == loop.randint(4)
        values = np.stack([[loop.randint(size, size=7) for size in space.sizes] for _ in images])  # [copies, f, batch]
        values[:, own] = values[0, own] if pairs else values[0, own, 0]
        np.testing.assert_array_equal(images, np.einsum("cfb,f->cb", values, bases))


def test_functions_of_factors_or_indices_and_tables_are_the_same_encoder():
    table = torch.randn(SPACE.num_images, 3, generator=torch.Generator().manual_seed(0))
    settings = {"train_votes": 200, "test_votes": 100}
    expected = F.factor_vae_score(table, SPACE, **settings)
    for encode in (lambda indices: table[indices], lambda factors: table[SPACE.to_index(factors)], table.numpy()):
        assert F.factor_vae_score(encode, SPACE, **settings) == expected
    np.testing.assert_array_equal(F.encode_grid(lambda indices: table[indices], SPACE, batch=7), table.numpy())
    with pytest.raises(RuntimeError, match="my own mistake"):
        F.factor_vae_score(_broken, SPACE, **settings)


def _broken(batch):
    raise RuntimeError("my own mistake")


def test_no_image_is_encoded_twice():
    seen: list[int] = []

    def encode(indices: torch.Tensor) -> torch.Tensor:
        seen.extend(indices.tolist())
        return indices[:, None].double()

    rows = encode_images(encode, SPACE, [np.array([[3, 3], [59, 0]]), np.array([0, 7])], batch=2, takes="indices")[1]
    assert sorted(seen) == [0, 3, 7, 59]
    assert [r.shape for r in rows] == [(2, 2), (2,)]


def test_a_huge_grid_is_not_ticked_off():
    space = FactorSpace(("a", "b"), (1 << 20, 1 << 20))
    table, (rows,) = encode_images(lambda f: f.double(), space, [np.array([1 << 35, 5, 1 << 35])])
    np.testing.assert_array_equal(table[rows], [[1 << 15, 0], [0, 5], [1 << 15, 0]])


def test_udr_of_the_same_codes_in_another_order_is_one_and_of_others_low():
    codes = np.random.RandomState(0).randn(500, 4)
    same = F.udr([codes, -codes[:, ::-1] * 3], correlation="spearman")
    assert same.scores == pytest.approx([0.95, 0.95], abs=0.01)  # max^2 / sum counts the chance correlations, too
    independent = F.udr([codes, np.random.RandomState(1).randn(500, 4)], correlation="spearman")
    assert independent.scores.max() < 0.05
    lasso = F.udr([codes, codes[:, ::-1], np.random.RandomState(1).randn(500, 4)])
    assert lasso.pairwise[0, 1] == pytest.approx(0.9, abs=0.02)  # a lasso at alpha 0.1 takes 0.1 off a weight of 1
    assert lasso.scores[2] < 0.01
    with pytest.raises(ValueError, match="two models"):
        F.udr([codes])


def test_a_score_is_a_number_with_parts():
    score = F.mig(samples(100) + 0.0, samples(100))
    for other in (pickle.loads(pickle.dumps(score)), copy.deepcopy(score)):
        assert other == score
        np.testing.assert_array_equal(other["entropy"], score["entropy"])
    assert isinstance(score + 1, float)
