"""Explicitness: can a linear classifier on all codes tell the values of a factor?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from wherewhat_pl.metrics.inputs import Codes, Factors, Score, check_split, varying_factors


def explicitness(codes_train: Codes, factors_train: Factors, codes_test: Codes, factors_test: Factors) -> Score:
    """Explicitness (Ridgeway and Mozer 2018) as Locatello et al. 2019 compute it.

    For each factor: logistic regression on codes standardized by the *training* half, then the area under the
    one-against-the-rest ROC curve, mean over classes and factors. A constant code is only centred.

    Args:
        codes_train, codes_test: ``[N, n]`` and ``[M, n]`` real numbers.
        factors_train, factors_test: ``[N, f]`` and ``[M, f]`` integers.

    Returns:
        0.5 (chance) to 1, on the test half; a :class:`Score` with ``train``, ``test``, and per factor
        ``train_per_factor`` and ``test_per_factor`` ``[f]`` (NaN for a factor with one value, left out with a
        warning).

    Raises:
        ValueError: shapes that do not fit, or no factor that varies in both halves.
    """
    train, train_factors, test, test_factors = check_split(codes_train, factors_train, codes_test, factors_test)
    varying = varying_factors(train_factors, "explicitness")
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where((train == train[0]).all(axis=0), 1, spread)
    train, test = (train - mean) / spread, (test - mean) / spread
    areas = np.full((2, train_factors.shape[1]), np.nan)
    for j in varying:
        model = LogisticRegression().fit(train, train_factors[:, j])
        for row, (codes, factor) in enumerate(((train, train_factors[:, j]), (test, test_factors[:, j]))):
            areas[row, j] = _mean_area(factor, model.predict_proba(codes), model.classes_)
    for row, half, samples in ((0, "training", len(train)), (1, "test", len(test))):
        if np.isnan(areas[row]).all():
            raise ValueError(f"explicitness: no factor has two known values in the {half} half ({samples} samples)")
    train_score, test_score = (float(np.nanmean(row)) for row in areas)
    return Score(test_score, train=train_score, test=test_score, train_per_factor=areas[0], test_per_factor=areas[1])


def _mean_area(labels: NDArray[np.int64], probabilities: NDArray[np.floating], classes: NDArray[np.int64]) -> float:
    """Mean area under the ROC curve over the classes that occur and have others beside them; NaN if there is none."""
    hits = labels[:, None] == classes
    usable = hits.any(axis=0) & ~hits.all(axis=0)
    if not usable.any():
        return float("nan")
    return float(roc_auc_score(hits[:, usable], probabilities[:, usable]))
