"""The mutual information gap: is each factor known by one code and not by a second?"""

from __future__ import annotations

import numpy as np

from wherewhat_pl.metrics.functional.information import discretize, factor_entropies, gaps, label_information
from wherewhat_pl.metrics.inputs import Codes, Factors, Score, check_pair, varying_factors


def mig(codes: Codes, factors: Factors, bins: int = 20) -> Score:
    """Mutual information gap (Chen et al. 2018, eq. 6).

    Mean over factors of ``(I_first - I_second) / H(factor)``, the two codes with the most mutual information with the
    factor. Codes are cut in equal-width bins over their range; no code is pruned.

    Args:
        codes: ``[N, n]`` real numbers.
        factors: ``[N, f]`` integers.
        bins: number of bins per code.

    Returns:
        0 (no code stands out) to 1; a :class:`Score` with ``mutual_information [n, f]`` and ``entropy [f]`` in nats and
        ``per_factor [f]`` (NaN for a factor with one value, which the mean leaves out with a warning).

    Raises:
        ValueError: shapes that do not fit, or no factor that varies.

    Example:
        >>> import numpy as np
        >>> factors = np.stack(np.meshgrid(range(4), range(4)), -1).reshape(-1, 2)
        >>> round(float(mig(factors.astype(float), factors)), 6)
        1.0
    """
    code_array, factor_array = check_pair(codes, factors)
    varying = varying_factors(factor_array, "MIG")
    information = label_information(discretize(code_array, bins), factor_array)
    entropy = factor_entropies(factor_array)
    per_factor = np.full(len(entropy), np.nan)
    per_factor[varying] = gaps(information)[varying] / entropy[varying]
    return Score(per_factor[varying].mean(), mutual_information=information, entropy=entropy, per_factor=per_factor)
