"""Modularity: does each code know about one factor only?"""

from __future__ import annotations

import numpy as np

from wherewhat_pl.metrics.functional.information import mutual_information
from wherewhat_pl.metrics.inputs import Codes, Factors, Score


def modularity(codes: Codes, factors: Factors, bins: int = 20) -> Score:
    """Modularity (Ridgeway and Mozer 2018), with the mutual information of MIG.

    For each code with mutual informations m_j: ``1 - (sum m_j^2 - max m_j^2) / (max m_j^2 (f - 1))``, 0 if they are
    all 0; the mean over codes.

    Args:
        codes: ``[N, n]`` real numbers.
        factors: ``[N, f]`` integers.
        bins: number of equal-width bins per code.

    Returns:
        0 to 1; a :class:`Score` with ``per_code [n]`` and ``mutual_information [n, f]``. With a single factor every
        code that knows anything is modular (1). Note that random codes score high, too: small numbers are rarely
        equal.

    Raises:
        ValueError: shapes that do not fit.
    """
    information = mutual_information(codes, factors, bins)
    squared = information**2
    largest = squared.max(axis=1)
    informed = largest > 0
    others = squared.sum(axis=1) - largest
    per_code = np.zeros(len(squared))
    per_code[informed] = 1 - others[informed] / (largest[informed] * max(1, squared.shape[1] - 1))
    return Score(per_code.mean(), per_code=per_code, mutual_information=information)
