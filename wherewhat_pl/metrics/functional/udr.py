"""Unsupervised disentanglement ranking: do models trained alike find the same codes?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import Lasso

from wherewhat_pl.metrics.inputs import Codes, check_codes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class UDRResult:
    """UDR of several models.

    Attributes:
        scores: ``[models]``, the median over the other models; higher is better, 0 to 1 with Spearman's correlation.
        pairwise: ``[models, models]``, 0 on the diagonal.
    """

    scores: Array
    pairwise: Array


def udr(
    codes: Sequence[Codes],
    informative: Sequence[NDArray[np.bool_]] | None = None,
    correlation: Literal["lasso", "spearman"] = "lasso",
) -> UDRResult:
    """Unsupervised disentanglement ranking (Duan et al. 2020) as disentanglement_lib computes it.

    Two models agree where each code of the one is matched by one code of the other: with R the matrix of absolute
    correlations (or lasso weights at alpha 0.1, from the standardized codes of the first model to those of the second),
    a pair scores the mean of ``max(R)^2 / sum(R)`` over columns and over rows.

    Args:
        codes: for each model the codes ``[N, n_model]`` of the same N images in the same order.
        informative: for each model which codes to count, bool ``[n_model]``. For a VAE: mean KL divergence above 0.01.
            Constant codes are never counted.
        correlation: ``lasso`` or ``spearman``.

    Returns:
        :class:`UDRResult`. A model without informative codes scores 0.

    Raises:
        ValueError: fewer than two models, or different numbers of images.
    """
    arrays = [check_codes(model, f"codes[{k}]").astype(np.float64) for k, model in enumerate(codes)]
    if len(arrays) < 2 or len({len(array) for array in arrays}) != 1:
        shapes = [array.shape for array in arrays]
        raise ValueError(f"UDR needs the codes of the same images from two models or more, got {shapes}")
    kept: list[Array] = []
    for k, array in enumerate(arrays):
        counted = ~(array == array[0]).all(axis=0)
        if informative is not None:
            counted &= np.asarray(informative[k], dtype=bool)
        values = array[:, counted] if correlation == "lasso" else rankdata(array[:, counted], axis=0)
        kept.append((values - values.mean(axis=0)) / values.std(axis=0))
    pairwise = np.zeros((len(kept), len(kept)))
    for i, j in permutations(range(len(kept)), 2):
        first, second = kept[i], kept[j]
        if first.shape[1] and second.shape[1]:
            if correlation == "lasso":
                matrix = Lasso(alpha=0.1).fit(first, second).coef_.reshape(second.shape[1], first.shape[1]).T
            else:  # the covariance of standardized ranks is Spearman's correlation
                matrix = first.T @ second / len(first)
            pairwise[i, j] = _one_to_one(np.abs(matrix))
    return UDRResult(np.array([np.median(np.delete(pairwise[:, i], i)) for i in range(len(kept))]), pairwise)


def _one_to_one(matrix: Array) -> float:
    parts = []
    for axis in (0, 1):
        total = matrix.sum(axis=axis)
        parts.append(np.divide(matrix.max(axis=axis) ** 2, total, out=np.zeros_like(total), where=total > 0).mean())
    return float(np.mean(parts))
