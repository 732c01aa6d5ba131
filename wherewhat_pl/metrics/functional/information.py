"""Mutual information between codes and factors, from counts in bins: the ground MIG and modularity stand on."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wherewhat_pl.metrics.inputs import Codes, Factors, check_factors, check_pair


def discretize(codes: NDArray[np.floating], bins: int = 20) -> NDArray[np.int64]:
    """Codes ``[N, n]`` -> bin numbers 0..bins-1 ``[N, n]``, equal-width bins over each code's own range.

    The edges are numpy's for the codes' own precision, as in the field's reference: a float32 code and its float64
    copy may differ in the bin of a value that lies on an edge.
    """
    return np.stack([np.searchsorted(_edges(code, bins), code, side="right") - 1 for code in codes.T], axis=1)


def mutual_information(codes: Codes, factors: Factors, bins: int = 20) -> NDArray[np.float64]:
    """Mutual information of each code, in equal-width bins, with each factor.

    Args:
        codes: ``[N, n]`` real numbers.
        factors: ``[N, f]`` integers.
        bins: number of bins over each code's range.

    Returns:
        ``[n, f]`` in nats, 0 for a constant code.

    Raises:
        ValueError: shapes that do not fit.
    """
    code_array, factor_array = check_pair(codes, factors)
    return label_information(discretize(code_array, bins), factor_array)


def factor_entropies(factors: Factors) -> NDArray[np.float64]:
    """Entropy of each factor's empirical distribution: factors ``[N, f]`` -> ``[f]`` in nats."""
    array = check_factors(factors)
    return np.array([_entropy(np.unique(column, return_counts=True)[1], len(array)) for column in array.T])


def label_information(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mutual information (nats) of each column of ``left`` ``[N, a]`` with each of ``right`` ``[N, b]``: ``[a, b]``."""
    samples = len(left)
    left_columns, right_columns = [_compact(c) for c in left.T], [_compact(c) for c in right.T]
    information = np.empty((left.shape[1], right.shape[1]))
    for j, (right_numbers, right_size) in enumerate(right_columns):
        for i, (left_numbers, left_size) in enumerate(left_columns):
            cells = np.bincount(left_numbers * right_size + right_numbers, minlength=left_size * right_size)
            joint = cells.reshape(left_size, right_size)
            expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
            seen = joint > 0
            # sum p(a,b) log(p(a,b) / p(a) p(b)); counts up to 2^26 keep the product exact in float64.
            ratio = joint[seen] * (samples / expected[seen])
            information[i, j] = max(0.0, float((joint[seen] * np.log(ratio)).sum()) / samples)
    return np.where(information < np.finfo(np.float64).eps, 0.0, information)


def gaps(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the best code is ahead of the second in each column of ``[n, f]``: ``[f]``; a lone code has no rival."""
    ordered = np.sort(table, axis=0)
    return ordered[-1] - ordered[-2] if len(ordered) > 1 else ordered[-1]


def _edges(code: NDArray[np.floating], bins: int) -> NDArray[np.floating]:
    """Lower edges of the bins ``[bins]``; a single one if the values are too close for ``bins`` different edges."""
    for precision in (code.dtype, np.float64):
        with suppress(ValueError):  # numpy: "too many bins for data range"
            return np.histogram_bin_edges(code.astype(precision), bins)[:-1]
    return code.min(keepdims=True)


def _entropy(counts: NDArray[np.int64], samples: int) -> float:
    return float(np.log(samples) - (counts * np.log(counts)).sum() / samples) if len(counts) > 1 else 0.0


def _compact(column: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Labels -> small non-negative numbers and how many to make room for. Sorting only when the range is wide."""
    low, high = int(column.min()), int(column.max())
    if high - low < 4096:
        return column - low, high - low + 1
    values, numbers = np.unique(column, return_inverse=True)
    return numbers, len(values)


def point_biserial(codes: Tensor, labels: Tensor) -> Tensor:
    """Pearson's correlation of real codes with binary labels.

    Args:
        codes: ``[N, n]``.
        labels: ``[N, k]`` bool.

    Returns:
        ``[n, k]`` float64 in [-1, 1]; 0 where a code or a label is constant, which tells nothing.
    """
    standardized = []
    for values in (codes.double(), labels.double()):
        centred = values - values.mean(0)
        norm = centred.square().sum(0).sqrt()
        constant = norm <= 1e-12 * values.abs().amax(0) * len(values) ** 0.5
        standardized.append(torch.where(constant, 0.0, centred / norm.clamp_min(1e-300)))
    return standardized[0].T @ standardized[1]
