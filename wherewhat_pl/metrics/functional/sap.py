"""Separated attribute predictability: how much better than the second-best code does the best one predict a factor?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhat_pl.metrics.inputs import Codes, Factors, Score, check_pair, check_split, varying_factors
from wherewhat_pl.metrics.numerics.linear_svm import SortedProblems, fit

_CHUNK_SAMPLES = 4_000_000  # sorted samples kept at a time, about 40 bytes each


def sap(
    codes_train: Codes,
    factors_train: Factors,
    codes_test: Codes,
    factors_test: Factors,
    cost: float = 0.01,
) -> Score:
    """SAP score for discrete factors (Kumar et al. 2018), with the settings of Locatello et al. 2019.

    For each code and factor, a linear SVM (squared hinge, one against the rest, ``cost``, balanced class weights) is
    trained on that one code; the score is the mean over factors of the gap between the two best test accuracies.

    Args:
        codes_train: ``[N, n]`` real numbers.
        factors_train: ``[N, f]`` integers.
        codes_test: ``[M, n]``.
        factors_test: ``[M, f]``.
        cost: liblinear's C.

    Returns:
        0 to 1; a :class:`Score` with ``accuracy [n, f]`` (0 for a factor with one value, left out with a warning).
        Note that perfect codes stay far below 1: a linear classifier of one number cannot tell many classes apart.

    Raises:
        ValueError: shapes that do not fit, or no factor that varies.
    """
    train, train_factors, test, test_factors = check_split(codes_train, factors_train, codes_test, factors_test)
    varying = varying_factors(train_factors, "SAP")
    classes, numbers, counts = [], [], []
    for factor in train_factors[:, varying].T:
        values, inverse, sizes = np.unique(factor, return_inverse=True, return_counts=True)
        if len(values) == 2:  # liblinear trains one problem for two classes: the second against the first
            inverse, sizes = inverse - 1, sizes[1:]
        classes.append(values)
        numbers.append(inverse)
        counts.append(sizes)
    starts = np.cumsum([0, *(len(sizes) for sizes in counts)])
    problems = int(starts[-1])
    positives = [  # small integers, so that sorting by them is a radix sort
        np.where(inverse < 0, problems, inverse + start).astype(np.min_scalar_type(problems))
        for inverse, start in zip(numbers, starts, strict=False)
    ]
    cost_positive, cost_negative, tolerance = _balanced(counts, classes, len(train), cost)

    accuracy = np.zeros((train.shape[1], train_factors.shape[1]))
    chunk = max(1, _CHUNK_SAMPLES // (len(train) * len(classes)))
    for first in range(0, train.shape[1], chunk):
        block = range(first, min(first + chunk, train.shape[1]))
        slopes, intercepts = fit(
            [SortedProblems(train[:, i].astype(np.float64), positives, problems) for i in block],
            cost_positive,
            cost_negative,
            tolerance,
        )
        for i, slope, intercept in zip(block, slopes, intercepts, strict=True):
            samples = np.stack([test[:, i].astype(np.float64), np.ones(len(test))], axis=1)
            scores = samples @ np.stack([slope, intercept])  # [M, G]
            for j, position in enumerate(varying):
                own = scores[:, starts[j] : starts[j + 1]]
                winner = own.argmax(axis=1) if own.shape[1] > 1 else (own[:, 0] > 0).astype(np.intp)
                accuracy[i, position] = np.mean(classes[j][winner] == test_factors[:, position])
    return Score(_mean_gap(accuracy[:, varying]), accuracy=accuracy)


def sap_continuous(codes: Codes, factors: Factors) -> Score:
    """SAP with squared correlation in the place of a classifier's accuracy, for ordered factors (Kumar et al. 2018).

    Args:
        codes: ``[N, n]`` real numbers.
        factors: ``[N, f]`` integers, taken as numbers.

    Returns:
        0 to 1; a :class:`Score` with ``squared_correlation [n, f]``, 0 for codes of variance below 1e-12.
    """
    code_array, factor_array = check_pair(codes, factors)
    varying = varying_factors(factor_array, "SAP")
    centred = code_array.astype(np.float64) - code_array.mean(0, dtype=np.float64)
    target = factor_array - factor_array.mean(0)
    scale = len(code_array) - 1
    code_variance, factor_variance = (centred**2).sum(0) / scale, (target**2).sum(0) / scale
    usable = np.outer(code_variance > 1e-12, factor_variance > 0)
    squared = np.zeros(usable.shape)
    np.divide((centred.T @ target / scale) ** 2, np.outer(code_variance, factor_variance), out=squared, where=usable)
    return Score(_mean_gap(squared[:, varying]), squared_correlation=squared)


def _mean_gap(matrix: NDArray[np.float64]) -> float:
    ordered = np.sort(matrix, axis=0)
    second = ordered[-2] if len(ordered) > 1 else np.zeros_like(ordered[-1])
    return float(np.mean(ordered[-1] - second))


def _balanced(
    counts: list[NDArray[np.int64]], classes: list[NDArray[np.int64]], samples: int, cost: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Costs of the positives and the negatives, and liblinear's tolerance, for each problem ``[G]``."""
    positive, negative = [], []
    for sizes, values in zip(counts, classes, strict=True):
        positive.append(cost * samples / (len(values) * sizes))
        # With two classes both are weighted; one against the rest, liblinear weights the one class only.
        negative.append(cost * samples / (2 * (samples - sizes)) if len(values) == 2 else np.full(len(sizes), cost))
    count = np.concatenate(counts)
    tolerance = 1e-4 * np.maximum(np.minimum(count, samples - count), 1) / samples
    return np.concatenate(positive), np.concatenate(negative), tolerance
