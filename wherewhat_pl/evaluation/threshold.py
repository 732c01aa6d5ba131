"""What counts as an active dimension, by a rule that looks at path lengths alone and at no score."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from wherewhat_pl.errors import ConfigError

SHORTEST = 1e-3  #: of the longest; what is shorter moves nothing, however much shorter it is


def otsu_threshold(lengths: Iterable[float]) -> float:
    """The threshold between short and long lengths: Otsu's (1979), on their logarithms.

    It cuts the sorted logarithms where the variance between both sides, w0 w1 (m0 - m1)^2, is largest (so within
    them it is smallest), half-way between the neighbours of the cut. Lengths below a thousandth of the longest count
    as a thousandth, since how dead a dimension is says nothing about the living. Two kinds of lengths are taken for
    granted: where all are of one kind the cut lies somewhere within it.

    Args:
        lengths: of all dimensions of all models together, not negative; what is not finite is left out.

    Returns:
        The length from which on a dimension is active.

    Raises:
        ConfigError: there are not two different lengths.
    """
    known = np.array([length for length in lengths if math.isfinite(length)])
    longest = known.max(initial=0.0)
    if longest == 0:
        raise ConfigError("threshold=auto: no dimension of any model moves anything; set threshold=...")
    logs = np.sort(np.log(np.maximum(known, SHORTEST * longest)))
    count = np.arange(1, len(logs))  # below the cut
    sums = np.cumsum(logs)
    below, above = sums[:-1] / count, (sums[-1] - sums[:-1]) / (len(logs) - count)
    between = count * (len(logs) - count) * (above - below) ** 2
    between[np.diff(logs) == 0] = -1  # no cut between equals
    if not len(between) or between.max() < 0:
        raise ConfigError(
            "threshold=auto: all dimensions move alike, there is nothing to tell apart; set threshold=..."
        )
    cut = int(between.argmax())
    return float(np.exp((logs[cut] + logs[cut + 1]) / 2))
