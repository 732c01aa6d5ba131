"""Gradient boosting with scikit-learn's ``GradientBoostingClassifier``'s algorithm and a faster tree builder.

DCI reads its importance matrix off gradient-boosted trees, one tree per factor, class and step: a quarter of an hour
for scikit-learn on 10,000 samples, which sorts the samples of every node again. Here each code is sorted once; a level
of a tree keeps the samples grouped by node and sorted inside, so all candidate splits of all nodes and codes are one
running sum. The algorithm is the same (squared-error splits on the residuals, depth 3, Friedman's leaf values, decrease
of the squared error as importance), with every value a candidate; only rounding and the dice for ties differ.
``HistGradientBoostingClassifier`` would be another algorithm (second-order gains, no importances).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

Array = NDArray[np.float64]
Integers = NDArray[np.intp]


@dataclass(frozen=True)
class SortedCodes:
    """Training codes, sorted once for all trees.

    Attributes:
        values: ``[n, N]``.
        order: ``[n, N]`` the samples by ascending value of each code.
        ranks: ``[n, N]`` of each sample's value in its code; equal values have equal ranks.
        row_offsets: ``[n, 1]`` where each code's row starts in the flattened arrays.
        has_ties: whether any code has equal values.
    """

    values: Array
    order: Integers
    ranks: NDArray[np.int32]
    row_offsets: Integers
    has_ties: bool



@dataclass(frozen=True)
class Boosted:
    """What DCI needs of an ensemble: ``importances [n]`` (sum 1, or 0 without any split) and the predicted labels."""

    importances: Array
    predicted_train: NDArray[np.int64]
    predicted_test: NDArray[np.int64]


def sort_codes(codes: NDArray[np.floating]) -> SortedCodes:
    """Codes ``[N, n]`` -> sorted, in float32 as scikit-learn's trees see them."""
    values = np.ascontiguousarray(codes.T.astype(np.float32).astype(np.float64))
    ranks = np.stack([np.unique(row, return_inverse=True)[1].astype(np.int32) for row in values])
    count, samples = values.shape
    offsets = np.arange(count)[:, None] * samples
    has_ties = bool((ranks.max(axis=1) + 1 < samples).any())
    return SortedCodes(values, np.argsort(values, axis=1, kind="stable"), ranks, offsets, has_ties)


def boost(
    train: SortedCodes, labels: NDArray[np.int64], test_codes: NDArray[np.floating], steps: int = 100, depth: int = 3,
    rate: float = 0.1, random: np.random.RandomState | None = None,
) -> Boosted:
    """Train on ``labels`` ``[N]``, predict them and those of ``test_codes`` ``[M, n]``.

    Args:
        train: the training codes.
        labels: at least two different integers.
        test_codes: ``[M, n]``.
        steps: of boosting; each grows one tree per class (one in all for two classes).
        depth: of each tree.
        rate: learning rate.
        random: breaks ties between codes; seed 0 if not given.
    """
    random = np.random.RandomState(0) if random is None else random
    classes, target = np.unique(labels, return_inverse=True)
    hot = (target == np.arange(len(classes))[:, None]).astype(np.float64)  # [K, N]
    prior = np.bincount(target) / len(target)
    binary = len(classes) == 2
    start = np.log(prior)
    if binary:
        hot, start = hot[1:], start[1:] - start[:1]
    shrink = 1.0 if binary else (len(classes) - 1) / len(classes)  # Friedman's (K - 1) / K
    test = np.ascontiguousarray(test_codes.T.astype(np.float32).astype(np.float64))
    raw, raw_test = np.tile(start[:, None], target.shape), np.tile(start[:, None], len(test_codes))
    importances = np.zeros(len(train.values))
    for _ in range(steps):
        probability = expit(raw) if binary else softmax(raw, axis=0)
        for k, (own, wanted) in enumerate(zip(probability, hot, strict=True)):
            residual = wanted - own
            leaf, leaf_test, gains = _grow(train, residual, test, depth, random)
            importances += gains
            steepness = np.bincount(leaf, own * (1 - own), 2**depth)
            slope = shrink * np.bincount(leaf, residual, 2**depth)
            value = rate * np.divide(slope, steepness, out=np.zeros(2**depth), where=steepness > 1e-150)
            raw[k] += value[leaf]
            raw_test[k] += value[leaf_test]
    total = importances.sum()
    winners = [(scores[0] >= 0).astype(int) if binary else scores.argmax(axis=0) for scores in (raw, raw_test)]
    return Boosted(importances / total if total > 0 else importances, classes[winners[0]], classes[winners[1]])


def _grow(
    train: SortedCodes, residual: Array, test: Array, depth: int, random: np.random.RandomState
) -> tuple[Integers, Integers, Array]:
    """Grow one tree: leaf of each sample ``[N]`` and test sample ``[M]``, decrease of the error by code ``[n]``."""
    count, samples = train.values.shape
    gains, leaf, leaf_test = np.zeros(count), np.zeros(samples, np.intp), np.zeros(test.shape[1], np.intp)
    everyone, counting = np.arange(test.shape[1]), np.arange(1.0, samples + 1)
    order, starts = train.order, np.array([0, samples])  # node k holds the columns starts[k]:starts[k + 1] of order
    for level in range(depth):
        nodes = len(starts) - 1
        # Centred, the residuals of a node sum to zero: one running sum serves all nodes, and a split that puts the
        # sum s of l samples on the left lowers the squared error by s^2 size / (l (size - l)).
        sizes = np.diff(starts)
        means = np.bincount(leaf, residual, nodes) / np.maximum(sizes, 1)
        centred = residual - means[leaf]
        pure = np.bincount(leaf, centred**2, nodes) <= np.finfo(np.float64).eps * sizes
        bounds = starts.tolist()
        scale = np.zeros(samples)
        for impure in np.flatnonzero(~pure & (sizes > 1)).tolist():
            first, last = bounds[impure], bounds[impure + 1] - 1
            left = counting[: last - first]
            scale[first:last] = (last - first + 1) / (left * left[::-1])
        decrease = centred.take(order)
        np.cumsum(decrease, axis=1, out=decrease)
        decrease *= decrease
        decrease *= scale
        if train.has_ties:
            ranks = train.ranks.take(order + train.row_offsets)
            decrease[:, :-1] *= ranks[:, 1:] != ranks[:, :-1]  # no cut between equal values

        code, threshold = np.zeros(nodes, np.intp), np.full(nodes, np.inf)
        goes_right = np.zeros(samples, bool)
        for node, (first, end) in enumerate(pairwise(bounds)):
            best, at = _best(decrease[:, first:end], random)
            if at < 0:
                continue
            gains[best] += decrease[best, first + at]
            middle = first + at + 1
            code[node] = best
            row, sorted_samples = train.values[best], order[best]
            threshold[node] = (row[sorted_samples[middle - 1]] + row[sorted_samples[middle]]) / 2
            goes_right[sorted_samples[middle:end]] = True
        leaf_test += nodes * (test[code[leaf_test], everyone] > threshold[leaf_test])
        if level + 1 < depth:  # stable partition: all left children in order of their parents, then all right ones
            mask = goes_right.take(order).ravel()
            parts = [order.ravel().compress(side).reshape(count, -1) for side in (~mask, mask)]
            order = np.concatenate(parts, axis=1)
            right = np.bincount(leaf, goes_right, nodes).astype(int)
            starts = np.concatenate([[0], sizes - right, right]).cumsum()
        leaf += nodes * goes_right
    return leaf, leaf_test, gains


def _best(decrease: Array, random: np.random.RandomState) -> tuple[int, int]:
    """Code and position of the largest decrease in ``[n, size]``; position -1 if nothing decreases.

    Codes that split equally well (two codes of one factor, say) take turns at random, as in scikit-learn: always taking
    the first one would concentrate the importance.
    """
    if decrease.shape[1] == 0:
        return 0, -1
    per_code = decrease.max(axis=1)
    top = per_code.max()
    if top <= 0:
        return 0, -1
    tied = np.flatnonzero(per_code >= top * (1 - 1e-10))
    code = int(tied[0] if len(tied) == 1 else tied[random.randint(len(tied))])
    return code, int(decrease[code].argmax())
