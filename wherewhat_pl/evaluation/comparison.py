"""Whether groups of runs differ by more than their seeds do. Pure arithmetic.

Each group is held against the one with the best mean by Welch's t-test, which does not assume that all groups spread
alike; p-values are corrected by Holm (1979) for the number of groups. The best group is picked by the same numbers
that it is tested with, which makes it look a little better than it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import ttest_ind

LEAST_SEEDS = 2  #: of a group that can be tested
LEVEL = 0.05  #: p-values from here on say that two groups cannot be told apart


def welch(one: Sequence[float], other: Sequence[float]) -> float:
    """Two-sided p-value of Welch's t-test, ``[n], [m] -> 0..1`` with n, m >= 2; without any spread 1 if equal, else 0.

    Args:
        one: a value per seed.
        other: the same of the other group.
    """
    if len(set(one)) == len(set(other)) == 1:
        return float(one[0] == other[0])
    return float(ttest_ind(one, other, equal_var=False).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): the k-th smallest of m times m - k + 1, never falling."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def against_best(groups: Sequence[Sequence[float]], better: str) -> list[float | None]:
    """Corrected p-values of each group against the one with the best mean, whose own is 1.

    Args:
        groups: values per seed, a sequence per group.
        better: ``high`` or ``low``.

    Returns:
        None for a group that is not tested (fewer than two seeds), and for all if there are not two that can be.
    """
    tested = [k for k, values in enumerate(groups) if len(values) >= LEAST_SEEDS]
    if len(tested) < 2:
        return [None] * len(groups)
    sign = 1 if better == "high" else -1
    best = max(tested, key=lambda k: sign * math.fsum(groups[k]) / len(groups[k]))
    others = [k for k in tested if k != best]
    corrected = holm([welch(groups[k], groups[best]) for k in others])
    found = {best: 1.0, **dict(zip(others, corrected, strict=True))}
    return [found.get(k) for k in range(len(groups))]
