"""The beta-VAE score: does the mean difference between pairs that share a factor tell which one?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from wherewhat_pl.metrics.inputs import FactorGrid, Score, check_codes
from wherewhat_pl.metrics.numerics.reference_draws import Encode, Indices, Takes, draw_points, encode_images

_CHUNK_POINTS = 128  # codes of this many points fit a processor's cache


def beta_vae_score(
    encode: Encode | Tensor | ArrayLike,
    factors: FactorGrid,
    *,
    train_points: int = 10_000,
    test_points: int = 5_000,
    batch: int = 64,
    seed: int = 0,
    encode_batch: int = 1024,
    takes: Takes = "auto",
) -> Score:
    """The beta-VAE score (Higgins et al. 2017), point for point as Locatello et al. 2019 draw it.

    A point: the mean of ``|z1 - z2|`` over a batch of random pairs of images that share one factor. Logistic regression
    is trained to tell the factor; the score is its accuracy on test points.

    Args:
        encode, factors, seed, encode_batch, takes: as of :func:`~wherewhat_pl.metrics.functional.factor_vae_score`.
        train_points, test_points: number of training and of test points.
        batch: pairs per point.

    Returns:
        0 to 1 (about 1 / f for random codes); a :class:`Score` with ``train_accuracy``, ``eval_accuracy``, ``points``
        ``[train + test, n]`` and ``labels``. With a single factor there is nothing to tell: 1.

    Raises:
        ValueError: a table that does not fit the grid, no points, or training points that share one factor only.
    """
    if min(train_points, test_points, batch) < 1:
        raise ValueError(
            f"beta_vae_score: train_points={train_points}, test_points={test_points} and batch={batch} "
            "must be 1 or more"
        )
    _, shared, indices = draw_points(factors, train_points + test_points, batch, seed, pairs=True)
    if len(factors.sizes) > 1 and len(np.unique(shared[:train_points])) < 2:
        raise ValueError(f"beta_vae_score: train_points={train_points} all share the same factor; draw more")
    table, (indices,) = encode_images(encode, factors, [indices], encode_batch, takes)
    points = _mean_differences(check_codes(table), indices)
    halves = slice(train_points), slice(train_points, None)
    if len(factors.sizes) == 1:
        accuracies = [1.0, 1.0]
    else:
        model = LogisticRegression().fit(points[halves[0]], shared[halves[0]])
        accuracies = [float(model.score(points[half], shared[half])) for half in halves]
    return Score(accuracies[1], train_accuracy=accuracies[0], eval_accuracy=accuracies[1], points=points, labels=shared)


def _mean_differences(table: NDArray[np.floating], indices: Indices) -> NDArray[np.float64]:
    """Pairs of image rows ``[points, 2, batch]`` -> ``[points, n]``."""
    points = np.empty((len(indices), table.shape[1]))
    for start in range(0, len(indices), _CHUNK_POINTS):
        first, second = table.take(indices[start : start + _CHUNK_POINTS].transpose(1, 2, 0), axis=0)
        points[start : start + _CHUNK_POINTS] = np.abs(first - second).mean(axis=0)
    return points
