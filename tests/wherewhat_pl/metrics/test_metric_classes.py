"""Metric classes give in batches what the functions give at once."""

from __future__ import annotations

import pytest
import torch

from data_modules.factors import FactorSpace
from wherewhat_pl.metrics import functional as F
from wherewhat_pl.metrics import supervised

SPACE = FactorSpace(("a", "b"), (4, 3))


def draw(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    factors = SPACE.sample(count, generator)
    return factors + 0.5 * torch.randn(count, 2, generator=generator), factors


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        (supervised.MutualInformationGap, F.mig),
        (supervised.Modularity, F.modularity),
        (supervised.InterventionalRobustness, F.irs),
    ],
)
def test_batches_of_codes_and_factors_make_the_whole(kind, function):
    codes, factors = draw(200, 0)
    metric = kind()
    for start in range(0, 200, 64):
        metric.update(codes[start : start + 64], factors[start : start + 64])
    assert metric.compute().item() == float(function(codes, factors))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.slow
def test_two_halves_make_the_whole():
    train, test = draw(150, 0), draw(80, 1)
    for kind, function in (
        (supervised.SeparatedAttributePredictability, F.sap),
        (supervised.Explicitness, F.explicitness),
        (supervised.DCI, F.dci),
    ):
        metric = kind()
        for half, is_train in ((test, False), (train, True)):
            metric.update(half[0][:50], half[1][:50], train=is_train)
            metric.update(half[0][50:], half[1][50:], train=is_train)
        expected, value = function(*train, *test), metric.compute()
        if isinstance(value, dict):
            assert {name: float(v) for name, v in value.items()} == {name: expected[name] for name in value}
        else:
            assert value.item() == float(expected)
    with pytest.raises(ValueError, match="no codes_train were given"):
        supervised.DCI().compute()


def test_a_grid_encoded_in_any_order_gives_the_grid_s_scores():
    table = torch.randn(SPACE.num_images, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(SPACE.num_images)
    for kind, function, settings in (
        (supervised.FactorVAEScore, F.factor_vae_score, {"train_votes": 50, "test_votes": 50}),
        (supervised.BetaVAEScore, F.beta_vae_score, {"train_points": 50, "test_points": 50}),
    ):
        metric = kind(SPACE, settings)
        for part in order.split(5):
            metric.update(table[part], part)
        assert metric.compute().item() == float(function(table, SPACE, **settings))
        metric.reset()
        metric.update(table[:5], torch.arange(5))
        with pytest.raises(ValueError, match="7 of 12 images were not encoded"):
            metric.compute()
