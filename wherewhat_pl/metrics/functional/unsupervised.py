"""How dependent the codes are on each other, without any factor."""

from __future__ import annotations

import numpy as np

from wherewhat_pl.metrics.functional.information import discretize, label_information
from wherewhat_pl.metrics.inputs import Codes, check_codes


def code_dependence(codes: Codes, bins: int = 20) -> dict[str, float]:
    """The unsupervised scores of Locatello et al. 2019; lower is more independent.

    Args:
        codes: ``[N, n]`` real numbers, N at least 2.
        bins: equal-width bins for the mutual information.

    Returns:
        ``gaussian_total_correlation`` (nats), ``gaussian_wasserstein_correlation`` (squared code units), the same
        divided by the total variance (``..._norm``), and ``mutual_info_score`` (mean over pairs of codes, nats). All
        at least 0. Constant codes are independent of everything: they add 0 to the first three and count as pairs
        with 0 in the last. Codes that determine each other have infinite total correlation; so have N or more codes
        of N samples.

    Raises:
        ValueError: not ``[N, n]``.
    """
    array = check_codes(codes)
    count = array.shape[1]
    numbers = discretize(array, bins)
    information = label_information(numbers, numbers)
    pairs = max(1, count * (count - 1))
    scores = {"mutual_info_score": float(information.sum() - np.trace(information)) / pairs}

    varying = array[:, ~(array == array[0]).all(axis=0)].astype(np.float64)
    names = "gaussian_total_correlation", "gaussian_wasserstein_correlation", "gaussian_wasserstein_correlation_norm"
    if varying.shape[1] == 0:
        return dict.fromkeys(names, 0.0) | scores
    covariance = np.atleast_2d(np.cov(varying, rowvar=False))
    variances = np.diag(covariance)
    spread = np.sqrt(variances)
    # The correlation matrix has the same total correlation and is better conditioned.
    singular = len(array) <= len(spread)
    total = np.inf if singular else -0.5 * np.linalg.slogdet(covariance / np.outer(spread, spread))[1]
    # trace sqrt(D C) with D = diag(C) is that of the symmetric D^1/2 C D^1/2.
    eigenvalues = np.linalg.eigvalsh(covariance * np.outer(spread, spread))
    wasserstein = 2 * variances.sum() - 2 * np.sqrt(np.maximum(eigenvalues, 0)).sum()
    values = total, wasserstein, wasserstein / variances.sum()
    return {name: max(0.0, float(value)) for name, value in zip(names, values, strict=True)} | scores
