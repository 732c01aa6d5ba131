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

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

Array = NDArray[np.float64]
Integers = NDArray[np.intp]

STEPS, DEPTH, RATE = 100, 3, 0.1  #: scikit-learn's defaults; a step grows a tree per class, or one for two classes
_TOGETHER = 100_000  # numbers per array that trees grown at once may fill: what a processor's cache holds


@dataclass(frozen=True)
class SortedCodes:
    """Training codes, sorted once for all trees.

    Attributes:
        values: ``[n, N]``.
        order: ``[n, N]`` the samples by ascending value of each code.
        ranks: ``[n, N]`` of each sample's value in its code; equal values have equal ranks.
        has_ties: whether any code has equal values.
    """

    values: Array
    order: Integers
    ranks: NDArray[np.int32]
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
    has_ties = bool((ranks.max(axis=1) + 1 < values.shape[1]).any())
    return SortedCodes(values, np.argsort(values, axis=1, kind="stable"), ranks, has_ties)


def boost(
    train: SortedCodes,
    labels: NDArray[np.int64],
    test_codes: NDArray[np.floating],
    random: np.random.RandomState | None = None,
) -> Boosted:
    """Train on ``labels`` ``[N]``, predict them and those of ``test_codes`` ``[M, n]``.

    Args:
        train: the training codes.
        labels: at least two different integers.
        test_codes: ``[M, n]``.
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
    together = max(1, _TOGETHER // train.values.size)
    for _ in range(STEPS):
        probability = expit(raw) if binary else softmax(raw, axis=0)
        residual = hot - probability
        for first in range(0, len(hot), together):
            some = slice(first, first + together)
            leaf, leaf_test, gains = _grow(train, residual[some], test, random)
            importances += gains
            own = probability[some]
            steepness = np.bincount(leaf.ravel(), (own * (1 - own)).ravel(), len(own) * 2**DEPTH)
            slope = shrink * np.bincount(leaf.ravel(), residual[some].ravel(), len(own) * 2**DEPTH)
            value = RATE * np.divide(slope, steepness, out=np.zeros(len(slope)), where=steepness > 1e-150)
            raw[some] += value[leaf]
            raw_test[some] += value[leaf_test]
    total = importances.sum()
    winners = [(scores[0] >= 0).astype(int) if binary else scores.argmax(axis=0) for scores in (raw, raw_test)]
    return Boosted(importances / total if total > 0 else importances, classes[winners[0]], classes[winners[1]])


def _grow(
    train: SortedCodes, residual: Array, test: Array, random: np.random.RandomState
) -> tuple[Integers, Integers, Array]:
    """Grow K trees at once, one for each row of ``residual`` ``[K, N]``.

    Returns:
        leaf of each sample ``[K, N]`` and test sample ``[K, M]`` (tree k has leaves k 2^DEPTH and on), decrease of
        the squared error by code ``[n]``.
    """
    trees, (count, samples) = len(residual), train.values.shape
    tree = np.arange(trees)[:, None]
    places, everyone = np.arange(samples), np.arange(test.shape[1])
    gains = np.zeros(count)
    node, node_test = np.zeros((trees, samples), np.intp), np.zeros((trees, test.shape[1]), np.intp)
    # Row (k, f) of order holds tree k's samples, numbered through all trees: node after node, by code f inside each.
    order = train.order + (tree * samples)[:, :, None]  # [K, n, N]
    for level in range(DEPTH):
        nodes = 2**level
        own = node + nodes * tree
        sizes = np.bincount(own.ravel(), minlength=trees * nodes)
        # Centred, the residuals of a node sum to zero: one running sum serves all nodes, and a split that puts the
        # sum s of l samples on the left lowers the squared error by s^2 size / (l (size - l)).
        centred = residual - (np.bincount(own.ravel(), residual.ravel(), trees * nodes) / np.maximum(sizes, 1))[own]
        error = np.bincount(own.ravel(), (centred**2).ravel(), trees * nodes)
        impure = error > np.finfo(np.float64).eps * sizes
        starts = (np.cumsum(sizes.reshape(trees, nodes), axis=1) - sizes.reshape(trees, nodes)).ravel()
        at = np.repeat(np.arange(trees * nodes), sizes).reshape(trees, samples)  # node of each place in a row
        left = places - starts[at] + 1.0
        size = sizes[at]
        scale = np.divide(size, left * (size - left), out=np.zeros(at.shape), where=impure[at] & (left < size))
        decrease = centred.ravel().take(order)
        np.cumsum(decrease, axis=2, out=decrease)
        decrease *= decrease
        decrease *= scale[:, None]
        if train.has_ties:
            ranks = train.ranks.take(order + (np.arange(count)[:, None] - tree[:, :, None]) * samples)
            # No cut between equal values.
            np.copyto(decrease[:, :, :-1], 0.0, where=ranks[:, :, 1:] == ranks[:, :, :-1])

        code, best, credit = _best_codes(decrease, starts, sizes, random)
        gains += credit
        chosen = code[at]
        hit = (decrease[tree, chosen, places] == best[at]) & (best[at] > 0)
        found, where = np.unique(at[hit], return_index=True)  # the first best cut of each node that has one
        cut = np.full(trees * nodes, samples)
        cut[found] = np.nonzero(hit)[1][where]
        path = order[tree, chosen, places]  # [K, N] samples by the code that its node is split by
        goes_right = np.zeros(trees * samples, bool)
        goes_right[path] = places > cut[at]
        threshold = np.full(trees * nodes, np.inf)
        pair = path[found[:, None] // nodes, cut[found, None] + np.arange(2)] % samples
        threshold[found] = train.values[code[found, None], pair].mean(axis=1)
        own_test = node_test + nodes * tree
        node_test += nodes * (test[code[own_test], everyone] > threshold[own_test])
        node += nodes * goes_right.reshape(trees, samples)
        if level + 1 < DEPTH:
            order = _partitioned(order, goes_right)
    return node + 2**DEPTH * tree, node_test + 2**DEPTH * tree, gains


def _best_codes(
    decrease: Array, starts: Integers, sizes: Integers, random: np.random.RandomState
) -> tuple[Integers, Array, Array]:
    """The code to split each node by.

    Of codes that split equally well (two codes of one factor, say) one is taken at random, as in scikit-learn, but they
    share the credit, which is what scikit-learn gives them on average over its seeds.

    Args:
        decrease: ``[K, n, N]``.
        starts, sizes: ``[K nodes]``, where a node starts in its rows and how many samples it has.
        random: the dice.

    Returns:
        codes and their largest decreases, 0 where no split helps, ``[K nodes]`` each; credit of each code ``[n]``.
    """
    trees, count, samples = decrease.shape
    rows = np.arange(trees * count).reshape(trees, count, 1) * samples
    # An empty node's segment is another one's sample: its maximum is struck out below.
    segments = np.minimum(rows + starts.reshape(trees, 1, -1), decrease.size - 1)
    best = np.maximum.reduceat(decrease.ravel(), segments.ravel()).reshape(segments.shape)  # [K, n, nodes]
    best *= (sizes > 1).reshape(trees, 1, -1)
    tied = best >= best.max(axis=1, keepdims=True) * (1 - 1e-10)
    code = np.where(tied, random.random_sample(tied.shape), -1.0).argmax(axis=1)
    credit = (best * tied / tied.sum(axis=1, keepdims=True)).sum(axis=(0, 2))
    return code.ravel(), np.take_along_axis(best, code[:, None], axis=1).ravel(), credit


def _partitioned(order: Integers, goes_right: NDArray[np.bool_]) -> Integers:
    """Stable partition of each row: all left children in the order of their parents, then all right ones."""
    parted = np.empty_like(order)
    for rows, right, out in zip(order, goes_right.take(order), parted, strict=True):
        halves = [rows.ravel().compress(half.ravel()).reshape(len(rows), -1) for half in (~right, right)]
        np.concatenate(halves, axis=1, out=out)
    return parted
