"""Many one-feature linear support vector machines at once, with liblinear's objective and liblinear's path to it.

SAP needs an SVM for every code, factor and class: 10,000 samples, but only two unknowns each. On sorted samples the
points inside the margin are a prefix or a suffix, so running sums give objective, gradient and Hessian of *all*
problems from a few binary searches, however many samples there are. The solver is the trust-region Newton method of
Lin, Weng and Keerthi (2008), started and stopped as liblinear does it: accuracies agree with
``sklearn.svm.LinearSVC`` to the sample. The exact optimum would not do: it moves a test sample across a boundary here
and there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class SortedProblems:
    """One code's samples and a set of two-class problems on them, with the running sums that answer any (w, b)."""

    def __init__(self, code: Array, positives: list[NDArray[np.unsignedinteger]], classes: int) -> None:
        """Sort once.

        Args:
            code: ``[N]``.
            positives: one array ``[N]`` per factor: the number of the problem in which a sample is positive, or
                ``classes`` where it is in none. Each factor's problems are numbered after those of the factor before.
            classes: total number of problems.
        """
        order = np.argsort(code)
        self.samples = len(code)
        self.sorted = code[order]
        self.all_sums = _running_sums(self.sorted)
        ranks, problems = [], []
        for numbers in positives:
            in_order = numbers[order]
            by_class = np.argsort(in_order, kind="stable")  # radix sort, if the numbers have 16 bits or fewer
            by_class = by_class[: np.count_nonzero(in_order < classes)]
            ranks.append(by_class)
            problems.append(in_order[by_class])
        rank = np.concatenate(ranks)
        problem = np.concatenate(problems).astype(np.int64)
        self.keys = problem * (self.samples + 1) + rank  # ascending: by problem, then by rank of the sample
        self.class_sums = _running_sums(self.sorted[rank])
        self.offsets = np.arange(classes) * (self.samples + 1)
        self.starts = np.searchsorted(self.keys, self.offsets)
        self.ends = np.append(self.starts[1:], len(self.keys))

    def active_sums(self, w: Array, b: Array) -> tuple[Array, Array]:
        """Number, sum and sum of squares ``[3, G]`` of the positives, and of the negatives, inside the margin."""
        with np.errstate(divide="ignore", invalid="ignore"):
            edge_positive, edge_negative = (1 - b) / w, (-1 - b) / w
        flat = w == 0
        if flat.any():
            edge_positive = np.where(flat, np.where(b < 1, np.inf, -np.inf), edge_positive)
            edge_negative = np.where(flat, np.where(b > -1, -np.inf, np.inf), edge_negative)
        rank_positive = np.searchsorted(self.sorted, edge_positive)
        rank_negative = np.searchsorted(self.sorted, edge_negative)
        cut_positive = np.searchsorted(self.keys, self.offsets + rank_positive)
        cut_negative = np.searchsorted(self.keys, self.offsets + rank_negative)
        sums, everyone = self.class_sums, self.all_sums
        rising = w >= 0
        positives = np.where(
            rising, sums[:, cut_positive] - sums[:, self.starts], sums[:, self.ends] - sums[:, cut_positive]
        )
        below = everyone[:, rank_negative] - (sums[:, cut_negative] - sums[:, self.starts])
        above = everyone[:, -1:] - everyone[:, rank_negative] - (sums[:, self.ends] - sums[:, cut_negative])
        return positives, np.where(rising, above, below)


def fit(
    problems: list[SortedProblems], cost_positive: Array, cost_negative: Array, tolerance: Array, max_steps: int = 1000
) -> Array:
    """Minimize ``(w^2 + b^2)/2 + sum_i cost_i max(0, 1 - y_i (w x_i + b))^2`` for every problem of every code.

    Args:
        problems: one entry per code, G problems each.
        cost_positive: ``[G]`` weight of the positive samples' squared hinge; ``cost_negative`` that of the others.
        cost_negative: ``[G]``.
        tolerance: ``[G]`` the norm of the gradient at which to stop, relative to that at zero.
        max_steps: trust-region steps.

    Returns:
        ``[2, codes, G]``: slopes w and intercepts b.
    """
    shape = (len(problems), len(cost_positive))
    costs = tuple(np.broadcast_to(c, shape).ravel() for c in (cost_positive, cost_negative))
    goal = np.broadcast_to(tolerance, shape).ravel()
    weights = np.zeros((2, shape[0] * shape[1]))
    value, gradient, hessian = _evaluate(problems, weights, *costs)
    start_norm = _norm(gradient)
    radius, goal = start_norm.copy(), goal * start_norm
    live, untouched = start_norm > goal, np.ones(len(goal), dtype=bool)
    for _ in range(max_steps):
        if not live.any():
            break
        step, residual = _trust_region_step(gradient, hessian, radius, live)
        slope = (gradient * step).sum(0)
        predicted = -0.5 * (slope - (step * residual).sum(0))
        new_value, new_gradient, new_hessian = _evaluate(problems, weights + step, *costs)
        gained, length = value - new_value, _norm(step)
        radius = np.where(live, _next_radius(radius, length, gained, predicted, slope, untouched), radius)
        accepted = live & (gained > 1e-4 * predicted)
        untouched &= ~accepted
        weights = np.where(accepted, weights + step, weights)
        value = np.where(accepted, new_value, value)
        gradient, hessian = np.where(accepted, new_gradient, gradient), np.where(accepted, new_hessian, hessian)
        tiny = 1e-12 * np.abs(value)
        live &= ~((accepted & (_norm(gradient) <= goal)) | ((np.abs(gained) <= tiny) & (np.abs(predicted) <= tiny)))
    return weights.reshape(2, *shape)


def _evaluate(
    problems: list[SortedProblems], weights: Array, cost_p: Array, cost_n: Array
) -> tuple[Array, Array, Array]:
    """Objective ``[P]``, gradient ``[2, P]`` and Hessian (ww, wb, bb) ``[3, P]`` at ``weights`` ``[2, P]``."""
    w, b = weights
    blocks = zip(problems, np.split(w, len(problems)), np.split(b, len(problems)), strict=True)
    pairs = [problem.active_sums(*block) for problem, *block in blocks]
    positive, negative = (np.concatenate([pair[k] for pair in pairs], axis=1) for k in (0, 1))
    p, q = 1 - b, 1 + b  # residuals are p - w x for positives and q + w x for negatives
    value = 0.5 * (w * w + b * b)
    value += cost_p * (positive[0] * p * p - 2 * w * p * positive[1] + w * w * positive[2])
    value += cost_n * (negative[0] * q * q + 2 * w * q * negative[1] + w * w * negative[2])
    along_w = w + 2 * (cost_n * (q * negative[1] + w * negative[2]) - cost_p * (p * positive[1] - w * positive[2]))
    along_b = b + 2 * (cost_n * (q * negative[0] + w * negative[1]) - cost_p * (p * positive[0] - w * positive[1]))
    curvature = 2 * (cost_p * positive + cost_n * negative)
    return value, np.stack([along_w, along_b]), np.stack([1 + curvature[2], curvature[1], 1 + curvature[0]])


def _trust_region_step(gradient: Array, hessian: Array, radius: Array, live: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Truncated conjugate gradients inside the radius (Steihaug): step ``[2, P]`` and what is left of -g - H s."""
    step = np.zeros_like(gradient)
    residual = -gradient
    direction = residual
    enough = 0.1 * _norm(gradient)
    squared = (residual * residual).sum(0)
    running = live & (_norm(residual) > enough)
    for _ in range(8):  # two unknowns: two steps in exact arithmetic
        if not running.any():
            break
        curved = np.stack(
            [
                hessian[0] * direction[0] + hessian[1] * direction[1],
                hessian[1] * direction[0] + hessian[2] * direction[1],
            ]
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = squared / (direction * curved).sum(0)
            outside = _norm(step + inside * direction) > radius
            along, done, length = (step * direction).sum(0), (step * step).sum(0), (direction * direction).sum(0)
            room = radius * radius - done
            root = np.sqrt(np.maximum(along * along + length * room, 0))
            to_edge = np.where(along >= 0, room / (along + root), (root - along) / length)
        amount = np.where(running, np.where(outside, to_edge, inside), 0.0)
        step = step + amount * direction
        residual = residual - amount * curved
        running = running & ~outside & (_norm(residual) > enough)
        new_squared = (residual * residual).sum(0)
        ratio = new_squared / np.where(squared > 0, squared, 1.0)
        direction = np.where(running, residual + ratio * direction, direction)
        squared = np.where(running, new_squared, squared)
    return step, residual


def _next_radius(
    radius: Array, length: Array, gained: Array, predicted: Array, slope: Array, untouched: NDArray[np.bool_]
) -> Array:
    """The trust region's next radius: shrink after a poor prediction, grow after a good one (Lin and More 1999)."""
    radius = np.where(untouched, np.minimum(radius, length), radius)
    excess = -gained - slope
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(excess <= 0, 4.0, np.maximum(0.25, -0.5 * slope / excess))
    wanted = factor * length
    poor = np.minimum(np.maximum(factor, 0.25) * length, 0.5 * radius)
    fair = np.maximum(0.25 * radius, np.minimum(wanted, 0.5 * radius))
    good = np.maximum(0.25 * radius, np.minimum(wanted, 4 * radius))
    very_good = np.maximum(radius, np.minimum(wanted, 4 * radius))
    conditions = [gained < 1e-4 * predicted, gained < 0.25 * predicted, gained < 0.75 * predicted]
    return np.select(conditions, [poor, fair, good], very_good)


def _running_sums(values: Array) -> Array:
    """``[N]`` -> ``[3, N + 1]``: number, sum and sum of squares of the first k values."""
    sums = np.zeros((3, len(values) + 1))
    sums[0] = np.arange(len(values) + 1)
    np.cumsum(values, out=sums[1, 1:])
    np.cumsum(values * values, out=sums[2, 1:])
    return sums


def _norm(vectors: Array) -> Array:
    return np.sqrt((vectors * vectors).sum(0))
