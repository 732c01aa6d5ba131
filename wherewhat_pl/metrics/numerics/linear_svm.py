"""One-feature linear support vector machines with liblinear's objective and liblinear's path to it.

SAP needs one for every code, factor and class, of thousands of samples but two unknowns. On sorted samples the points
inside the margin are a prefix or a suffix, so running sums give objective, gradient and Hessian from a binary search.
The solver is the trust-region Newton method of Lin, Weng and Keerthi (2008), started and stopped as liblinear does it:
accuracies agree with ``sklearn.svm.LinearSVC`` to the sample, where the exact optimum would move one across a boundary
here and there. It stays because SAP of 10 codes and 6 factors from 10,000 samples takes 0.2 s with it, and 2.2 s with
scikit-learn's, at every evaluation during a training.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Sums = tuple[float, float, float]  #: number, sum and sum of squares of some samples
Pair = complex  #: slope + i intercept, and gradients and steps of the two: a pair that Python adds and scales fast


class SortedSamples:
    """Samples of one feature ``[N]``, ascending, with running sums."""

    def __init__(self, samples: NDArray[np.float64]) -> None:
        self.samples = samples
        # Memory views give Python's numbers, which are faster than numpy's one by one.
        self.ordered, self.total, self.squares = (
            values.data for values in (samples, _running_sum(samples), _running_sum(samples * samples))
        )

    def inside(self, w: float, b: float) -> Sums:
        """Of the samples x with w x + b < 1."""
        first, last = 0, len(self.ordered)
        if w > 0:
            last = bisect_left(self.ordered, (1 - b) / w)
        elif w < 0:
            first = bisect_right(self.ordered, (1 - b) / w)
        elif b >= 1:
            last = 0
        total, squares = self.total, self.squares
        return last - first, total[last] - total[first], squares[last] - squares[first]


def _running_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values)])


@dataclass(frozen=True)
class Problem:
    """``(w^2 + b^2)/2 + sum_i cost_i max(0, 1 - y_i (w x_i + b))^2``."""

    everyone: SortedSamples  # all x
    positives: SortedSamples  # those with y = 1; the others have y = -1
    costs: tuple[float, float]  # of the positives and of the others

    def at(self, weights: Pair) -> tuple[float, Pair, Sums]:
        """Value, gradient and Hessian (ww, wb, bb)."""
        w, b = weights.real, weights.imag
        everyone, positives = self.everyone.inside(-w, -b), self.positives.inside(-w, -b)
        negatives = everyone[0] - positives[0], everyone[1] - positives[1], everyone[2] - positives[2]
        value, along_w, along_b, ww, wb, bb = 0.5 * (w * w + b * b), w, b, 1.0, 0.0, 1.0
        for y, cost, (count, total, squares) in zip(
            (1, -1), self.costs, (self.positives.inside(w, b), negatives), strict=True
        ):
            room = 1 - y * b  # the hinge of x is room - y w x
            value += cost * (count * room * room - 2 * y * w * room * total + w * w * squares)
            along_w -= 2 * cost * (y * room * total - w * squares)
            along_b -= 2 * cost * (y * room * count - w * total)
            ww, wb, bb = ww + 2 * cost * squares, wb + 2 * cost * total, bb + 2 * cost * count
        return value, complex(along_w, along_b), (ww, wb, bb)


def fit(problem: Problem, tolerance: float, max_steps: int = 1000) -> tuple[float, float]:
    """Slope w and intercept b where the gradient's norm is ``tolerance`` times that at zero, or less."""
    weights = 0j
    value, gradient, hessian = problem.at(weights)
    goal, radius, untouched = tolerance * abs(gradient), abs(gradient), True
    for _ in range(max_steps):
        if abs(gradient) <= goal:
            break
        step, residual = _trust_region_step(gradient, hessian, radius)
        slope = _dot(gradient, step)
        predicted = -0.5 * (slope - _dot(step, residual))
        new_value, new_gradient, new_hessian = problem.at(weights + step)
        gained, length = value - new_value, abs(step)
        radius = _next_radius(min(radius, length) if untouched else radius, length, gained, predicted, slope)
        if gained > 1e-4 * predicted:
            weights, value, gradient, hessian = weights + step, new_value, new_gradient, new_hessian
            untouched = False
        if max(abs(gained), abs(predicted)) <= 1e-12 * abs(value):
            break
    return weights.real, weights.imag


def _trust_region_step(gradient: Pair, hessian: Sums, radius: float) -> tuple[Pair, Pair]:
    """Truncated conjugate gradients inside the radius (Steihaug): the step s and what is left of -g - H s."""
    ww, wb, bb = hessian
    step, residual = 0j, -gradient
    direction = residual
    for _ in range(8):  # two unknowns: two steps in exact arithmetic
        if abs(residual) <= 0.1 * abs(gradient):
            break
        curved = complex(ww * direction.real + wb * direction.imag, wb * direction.real + bb * direction.imag)
        squared = _dot(residual, residual)
        amount = squared / _dot(direction, curved)
        outside = abs(step + amount * direction) > radius
        if outside:
            along, length, room = _dot(step, direction), _dot(direction, direction), radius**2 - _dot(step, step)
            root = math.sqrt(max(along * along + length * room, 0.0))
            amount = room / (along + root) if along >= 0 else (root - along) / length
        step += amount * direction
        residual -= amount * curved
        if outside:
            break
        direction = residual + _dot(residual, residual) / squared * direction
    return step, residual


def _next_radius(radius: float, length: float, gained: float, predicted: float, slope: float) -> float:
    """The trust region's next radius: shrink after a poor prediction, grow after a good one (Lin and More 1999)."""
    excess = -gained - slope
    factor = 4.0 if excess <= 0 else max(0.25, -0.5 * slope / excess)
    if gained < 1e-4 * predicted:
        return min(factor * length, 0.5 * radius)
    if gained < 0.25 * predicted:
        return max(0.25 * radius, min(factor * length, 0.5 * radius))
    least = 0.25 * radius if gained < 0.75 * predicted else radius
    return max(least, min(factor * length, 4 * radius))


def _dot(a: Pair, b: Pair) -> float:
    return a.real * b.real + a.imag * b.imag
