"""Interventional robustness: does a code stay put while all factors but its own change?"""

from __future__ import annotations

import numpy as np

from wherewhat_pl.metrics.functional.information import discretize
from wherewhat_pl.metrics.inputs import Codes, Factors, Score, check_pair


def irs(codes: Codes, factors: Factors, quantile: float = 0.99, bins: int = 20) -> Score:
    """Interventional robustness score (Suter et al. 2019), with the settings of Locatello et al. 2019.

    With a factor fixed, a code's deviation is the ``quantile`` of its distance from its mean in that group, averaged
    over the factor's (binned) values and divided by the code's largest deviation overall. A code scores one minus the
    smallest of these over factors; codes are weighted by their largest deviation. Constant codes are dropped.

    Args:
        codes: ``[N, n]`` real numbers.
        factors: ``[N, f]`` integers, cut in equal-width bins over their range.
        quantile: 0 to 1; 1 takes the worst deviation, as the paper does.
        bins: number of bins per factor.

    Returns:
        0 to 1, 0 if all codes are constant; a :class:`Score` with ``matrix [active, f]``, ``per_code [active]``,
        ``parents [active]`` (the factor each code belongs to), ``max_deviations [active]`` and ``active [n]`` (bool).

    Raises:
        ValueError: shapes that do not fit.
    """
    code_array, factor_array = check_pair(codes, factors)
    active = ~(code_array == code_array[0]).all(axis=0)
    code_array = code_array[:, active]
    groups = discretize(factor_array.astype(np.float64), bins)
    largest = np.abs(code_array - code_array.mean(axis=0)).max(axis=0)
    deviations = np.zeros((code_array.shape[1], groups.shape[1]))
    for j, factor in enumerate(groups.T):
        values = np.unique(factor)
        for value in values:
            members = code_array[factor == value]
            spread = np.abs(members - members.mean(axis=0))
            deviations[:, j] += np.percentile(spread, quantile * 100, axis=0)
        deviations[:, j] /= len(values)
    matrix = 1.0 - deviations / largest[:, None]
    per_code = matrix.max(axis=1)
    return Score(
        np.average(per_code, weights=largest) if active.any() else 0.0,
        matrix=matrix,
        per_code=per_code,
        parents=matrix.argmax(axis=1),
        max_deviations=largest,
        active=active,
    )
