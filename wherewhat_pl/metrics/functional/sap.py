"""Separated attribute predictability: how much better than the second-best code does the best one predict a factor?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhat_pl.metrics.functional.information import gaps
from wherewhat_pl.metrics.inputs import Codes, Factors, Score, check_pair, check_split, varying_factors
from wherewhat_pl.metrics.numerics.linear_svm import Problem, SortedSamples, fit


def sap(
    codes_train: Codes, factors_train: Factors, codes_test: Codes, factors_test: Factors, cost: float = 0.01
) -> Score:
    """SAP score for discrete factors (Kumar et al. 2018), with the settings of Locatello et al. 2019.

    For each code and factor, a linear SVM (squared hinge, one against the rest, ``cost``, balanced class weights) is
    trained on that one code; the score is the mean over factors of the gap between the two best test accuracies.

    Args:
        codes_train, codes_test: ``[N, n]`` and ``[M, n]`` real numbers.
        factors_train, factors_test: ``[N, f]`` and ``[M, f]`` integers.
        cost: liblinear's C.

    Returns:
        0 to 1; a :class:`Score` with ``accuracy [n, f]`` (0 for a factor with one value, left out with a warning).
        Note that perfect codes stay far below 1: a linear classifier of one number cannot tell many classes apart.

    Raises:
        ValueError: shapes that do not fit, or no factor that varies.
    """
    train, train_factors, test, test_factors = check_split(codes_train, factors_train, codes_test, factors_test)
    varying = varying_factors(train_factors, "SAP")
    classes = {j: np.unique(train_factors[:, j], return_inverse=True) for j in varying}
    accuracy = np.zeros((train.shape[1], train_factors.shape[1]))
    for i, (code, test_code) in enumerate(zip(train.T.astype(np.float64), test.T.astype(np.float64), strict=True)):
        order = np.argsort(code)
        samples = SortedSamples(code[order])
        for j, (values, numbers) in classes.items():
            slopes, intercepts = _lines(samples, numbers[order], len(values), cost)
            scores = np.outer(test_code, slopes) + intercepts  # [M, classes]; one column for two classes
            winner = scores.argmax(axis=1) if len(values) > 2 else (scores[:, 0] > 0).astype(np.intp)
            accuracy[i, j] = np.mean(values[winner] == test_factors[:, j])
    return Score(gaps(accuracy[:, varying]).mean(), accuracy=accuracy)


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
    return Score(gaps(squared[:, varying]).mean(), squared_correlation=squared)


def _lines(samples: SortedSamples, labels: NDArray[np.intp], classes: int, cost: float) -> NDArray[np.float64]:
    """Slopes and intercepts ``[2, problems]`` of each class against the rest, or of the second of two classes."""
    by_class = np.argsort(labels.astype(np.min_scalar_type(classes)), kind="stable")  # small integers: a radix sort
    groups = np.split(samples.samples[by_class], np.cumsum(np.bincount(labels))[:-1])
    lines = []
    for group in groups if classes > 2 else groups[1:]:
        others = len(labels) - len(group)
        # With two classes both are weighted; one against the rest, liblinear weights the one class only.
        costs = len(labels) / (classes * len(group)), len(labels) / (2 * others) if classes == 2 else 1.0
        problem = Problem(samples, SortedSamples(group), (cost * costs[0], cost * costs[1]))
        lines.append(fit(problem, tolerance=1e-4 * min(len(group), others) / len(labels)))
    return np.transpose(lines)
