"""How much faster the metrics are than the same definitions written straight down with numpy and scikit-learn.

Ratios from one run on one machine: they compare, seconds do not. Each function returns a flat dictionary of numbers,
in which ``speedup`` is the straightforward version's seconds over ours, and ``difference`` what the two disagree by.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import mutual_info_score
from sklearn.svm import LinearSVC

from data_modules.factors import FactorSpace
from wherewhat_pl.bench.timing import timed
from wherewhat_pl.metrics import functional
from wherewhat_pl.metrics.functional.tpl import TPLSettings, traversal_perceptual_length
from wherewhat_pl.metrics.numerics.reference_draws import draw_points
from wherewhat_pl.metrics.perceptual import PerceptualDistance

SPACE = FactorSpace(("floor", "wall", "object", "scale", "shape", "orientation"), (10, 10, 10, 8, 4, 15))
BASES = np.array(SPACE.bases)
Halves = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]


def metrics_benchmark(
    train: int = 10_000, test: int = 5_000, dci_train: int = 1_000, dci_test: int = 500
) -> dict[str, dict[str, float]]:
    """All of them, by name; half a minute on one slow core with the defaults, the reference's sizes but for DCI.

    DCI takes fewer samples, and scale and shape only: scikit-learn needs a quarter of an hour for 10,000 and all
    factors.
    """
    table = mixed_codes()
    halves, few = sample_halves(table, train, test), sample_halves(table, dci_train, dci_test)
    small = few[0], few[1][:, 3:5], few[2], few[3][:, 3:5]
    return {
        "mig": mig_benchmark(halves),
        "sap": sap_benchmark(halves),
        "factor_vae": factor_vae_benchmark(table, train, test),
        "dci": dci_benchmark(small),
        "tpl": tpl_benchmark(),
    }


def mixed_codes(num_codes: int = 10) -> NDArray[np.float32]:
    """Codes of every image of a grid of 3DShapes' size, densely mixed factors and noise: ``[480000, n]``."""
    random = np.random.RandomState(0)
    factors = SPACE.all().numpy().astype(np.float32)
    factors = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    mixed = factors @ random.randn(SPACE.num_factors, num_codes).astype(np.float32) / np.float32(6**0.5)
    return mixed + np.float32(0.3) * random.randn(*mixed.shape).astype(np.float32)


def sample_halves(table: NDArray[np.float32], train: int, test: int) -> Halves:
    """Random images' codes and factors, for training and for testing."""
    random = np.random.RandomState(1)
    train_factors, test_factors = draw_factors(random, train), draw_factors(random, test)
    return table[train_factors @ BASES], train_factors, table[test_factors @ BASES], test_factors


def draw_factors(random: np.random.RandomState, count: int) -> NDArray[np.int64]:
    """Of random images: ``[count, 6]``."""
    return np.stack([random.randint(size, size=count) for size in SPACE.sizes], axis=1)


def mig_benchmark(halves: Halves) -> dict[str, float]:
    """MIG against ``mutual_info_score`` for every code and factor."""
    codes, factors = halves[:2]

    def straightforward() -> float:
        binned = [np.digitize(code, np.histogram(code, 20)[1][:-1]) for code in codes.T]
        information = np.array([[mutual_info_score(factor, code) for factor in factors.T] for code in binned])
        entropies = [mutual_info_score(factor, factor) for factor in factors.T]
        ordered = np.sort(information, axis=0)[::-1]
        return float(np.mean((ordered[0] - ordered[1]) / entropies))

    return _compared(straightforward, lambda: float(functional.mig(codes, factors)))


def sap_benchmark(halves: Halves) -> dict[str, float]:
    """SAP against ``LinearSVC`` for every code and factor."""
    codes, factors, test_codes, test_factors = halves

    def straightforward() -> float:
        accuracy = np.empty((codes.shape[1], factors.shape[1]))
        for i, j in np.ndindex(accuracy.shape):
            model = LinearSVC(C=0.01, class_weight="balanced").fit(codes[:, i : i + 1], factors[:, j])
            accuracy[i, j] = np.mean(model.predict(test_codes[:, i : i + 1]) == test_factors[:, j])
        ordered = np.sort(accuracy, axis=0)
        return float(np.mean(ordered[-1] - ordered[-2]))

    return _compared(straightforward, lambda: float(functional.sap(*halves)))


def factor_vae_benchmark(table: NDArray[np.float32], train: int = 10_000, test: int = 5_000) -> dict[str, float]:
    """FactorVAE score on an encoded grid against a loop over votes; the loop's random numbers are ours, too.

    ``speedup_first`` includes drawing the images, which is kept for the evaluations that follow (``speedup``).
    """

    def straightforward() -> float:
        random = np.random.RandomState(0)
        variances = np.var(table[draw_factors(random, 10_000) @ BASES], axis=0, ddof=1)
        active = np.sqrt(variances) >= 0.05
        votes = np.zeros((2, SPACE.num_factors, table.shape[1]))
        for half, count in enumerate((train, test)):
            for _ in range(count):
                fixed = random.randint(SPACE.num_factors)
                factors = draw_factors(random, 64)
                factors[:, fixed] = factors[0, fixed]
                local = np.var(table[factors @ BASES], axis=0, ddof=1)
                votes[half, fixed, np.flatnonzero(active)[np.argmin(local[active] / variances[active])]] += 1
        factor_of = votes[0].argmax(axis=0)
        return float(votes[1][factor_of, np.arange(table.shape[1])].sum() / test)

    def ours() -> float:
        return float(functional.factor_vae_score(table, SPACE, train_votes=train, test_votes=test))

    def ours_first() -> float:
        draw_points.cache_clear()
        return ours()

    first = _compared(straightforward, ours_first)
    repeated = min(timed(ours) for _ in range(3))[0]
    speedup = first["straightforward_s"] / repeated
    return first | {"speedup_first": first["speedup"], "speedup": speedup, "ours_s": repeated}


def dci_benchmark(halves: Halves) -> dict[str, float]:
    """DCI against scikit-learn's ``GradientBoostingClassifier``; the difference is that of disentanglement."""
    train, train_factors, test, test_factors = halves

    def straightforward() -> float:
        importance = np.empty((train.shape[1], train_factors.shape[1]))
        for j in range(train_factors.shape[1]):
            model = GradientBoostingClassifier().fit(train, train_factors[:, j])
            model.score(train, train_factors[:, j])
            model.score(test, test_factors[:, j])
            importance[:, j] = model.feature_importances_
        per_code = 1 - entropy(importance.T + 1e-11, base=importance.shape[1])
        return float((per_code * importance.sum(axis=1)).sum() / importance.sum())

    return _compared(straightforward, lambda: float(functional.dci(*halves)["disentanglement"]), repeats=2)


def tpl_benchmark(size: int = 32, points: int = 9, dimensions: int = 4) -> dict[str, float]:
    """TPL with every image's features computed once against the distance of every pair of neighbours."""
    distance = PerceptualDistance("stlpips_vgg")
    pixels = torch.linspace(-1, 1, size)
    waves = torch.randn(dimensions, 3, size, size, generator=torch.Generator().manual_seed(0)) * pixels

    def generate(latents: torch.Tensor) -> torch.Tensor:
        return torch.tanh(torch.einsum("bn,nchw->bchw", latents, waves) / 4)

    codes = torch.zeros(1, dimensions)

    def straightforward() -> float:
        total = 0.0
        for k in range(dimensions):
            path = codes.repeat(points, 1)
            path[:, k] = torch.linspace(-4, 4, points)
            images = generate(path)
            total += float(distance(images[:-1], images[1:]).sum())
        return total

    settings = TPLSettings(points=points, base_codes=1, threshold=0.0)
    return _compared(
        straightforward,
        lambda: traversal_perceptual_length(generate, dimensions, distance, settings, base_codes=codes).total,
    )


def _compared(straightforward: Callable[[], float], ours: Callable[[], float], repeats: int = 3) -> dict[str, float]:
    fast, value = min(timed(ours) for _ in range(repeats))  # others may use the machine
    slow, expected = timed(straightforward)
    return {"speedup": slow / fast, "difference": abs(value - expected), "ours_s": fast, "straightforward_s": slow}
