"""Disentanglement, completeness, informativeness: from how much each code matters for predicting each factor."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier

from wherewhat_pl.metrics.inputs import Codes, Factors, check_split, varying_factors
from wherewhat_pl.metrics.numerics.boosted_trees import boost, sort_codes

Array = NDArray[np.float64]


def dci(
    codes_train: Codes,
    factors_train: Factors,
    codes_test: Codes,
    factors_test: Factors,
    boosting: Literal["presorted", "sklearn"] = "presorted",
    seed: int = 0,
) -> dict[str, Any]:
    """DCI (Eastwood and Williams 2018) with gradient-boosted trees, as Locatello et al. 2019 compute it.

    For each factor, boosted trees (100 steps, depth 3, rate 0.1) are trained on all codes. The importance of each code
    for each factor gives disentanglement (is a code important for one factor only?) and completeness (is one code
    enough for a factor?); test accuracy is called informativeness.

    Args:
        codes_train, codes_test: ``[N, n]`` and ``[M, n]`` real numbers.
        factors_train, factors_test: ``[N, f]`` and ``[M, f]`` integers.
        boosting: ``presorted`` (own, see ``boosted_trees.py``) or ``sklearn``, its ``GradientBoostingClassifier``: the
            reference to the digit, and many times slower (a quarter of an hour for 10,000 samples). Two seeds of the
            latter differ as much as the two do, in the third digit.
        seed: of numpy's generator, which breaks ties between codes.

    Returns:
        ``disentanglement``, ``completeness``, ``informativeness_train``, ``informativeness_test`` (each 0 to 1),
        ``importance_matrix [n, f]`` (a factor with one value is left out with a warning: its column is 0),
        ``disentanglement_per_code [n]`` and ``completeness_per_factor [f]``. With a single factor a code cannot mix, so
        disentanglement is 1 (0 without any importance); so for completeness with a single code.

    Raises:
        ValueError: shapes that do not fit, no factor that varies, or another ``boosting``.
    """
    if boosting not in ("presorted", "sklearn"):
        raise ValueError(f"dci: boosting is 'presorted' or 'sklearn', not {boosting!r}")
    train, train_factors, test, test_factors = check_split(codes_train, factors_train, codes_test, factors_test)
    varying = varying_factors(train_factors, "DCI")
    importance = np.zeros((train.shape[1], train_factors.shape[1]))
    accuracies = np.empty((2, len(varying)))
    presorted = sort_codes(train) if boosting == "presorted" else None
    random = np.random.RandomState(seed)
    for k, j in enumerate(varying):
        if presorted is not None:
            ensemble = boost(presorted, train_factors[:, j], test, random=random)
            importance[:, j] = ensemble.importances
            predicted = ensemble.predicted_train, ensemble.predicted_test
        else:
            model = GradientBoostingClassifier(random_state=random).fit(train, train_factors[:, j])
            importance[:, j] = np.abs(model.feature_importances_)
            predicted = model.predict(train), model.predict(test)
        accuracies[:, k] = np.mean(predicted[0] == train_factors[:, j]), np.mean(predicted[1] == test_factors[:, j])
    per_code = disentanglement_per_code(importance[:, varying])
    per_factor = np.zeros(importance.shape[1])
    per_factor[varying] = disentanglement_per_code(importance[:, varying].T)
    return {
        "disentanglement": _weighted(per_code, importance.sum(axis=1)),
        "completeness": _weighted(per_factor, importance.sum(axis=0)),
        "informativeness_train": float(accuracies[0].mean()),
        "informativeness_test": float(accuracies[1].mean()),
        "importance_matrix": importance,
        "disentanglement_per_code": per_code,
        "completeness_per_factor": per_factor,
    }


def disentanglement_per_code(importance: Array) -> Array:
    """One minus the entropy of each row of ``[n, f]`` in units of its maximum, log f: ``[n]``.

    Transposed input gives completeness per factor. A row of zeros is as mixed as can be: 0. A single column: 1.
    """
    if importance.shape[1] == 1:
        return (importance[:, 0] > 0).astype(np.float64)
    return 1.0 - entropy(importance.T + 1e-11, base=importance.shape[1])


def _weighted(scores: Array, weights: Array) -> float:
    total = weights.sum()
    return float((scores * weights).sum() / total) if total > 0 else 0.0
