"""Linear separability: can a plane in code space tell whether an attribute is there?"""

from __future__ import annotations

import numpy as np
from sklearn.svm import LinearSVC

from wherewhat_pl.metrics.inputs import Codes, Factors, Score, check_pair


def linear_separability(codes: Codes, attributes: Factors) -> Score:
    """Linear separability (Karras et al. 2019, section 4.2) of binary attributes.

    For each attribute a linear SVM predicts it from the codes; H(attribute | prediction), in nats, says what is still
    unknown then, and the score is ``exp(sum H)``: 1 if every attribute is known, more the less is.

    The original asks a face classifier for the attributes of generated images and keeps the surer half; here the
    attributes are the annotated ones of real images and all images count, so values do not compare with StyleGAN's.

    Args:
        codes: ``[N, n]`` real numbers; each is standardized, so that units do not matter.
        attributes: ``[N, k]`` of 0 and 1; attributes with a single value are left out.

    Returns:
        At least 1; a :class:`Score` with ``conditional_entropy [k]`` and ``entropy [k]`` in nats.

    Raises:
        ValueError: shapes that do not fit, or attributes other than 0 and 1.
    """
    code_array, labels = check_pair(codes, np.asarray(attributes, dtype=np.int64))
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"separability: attributes must be 0 or 1, got {labels.min()} to {labels.max()}")
    spread = code_array.std(axis=0)
    standardized = (code_array - code_array.mean(axis=0)) / np.where(spread > 0, spread, 1)
    conditional, entropy = np.zeros(labels.shape[1]), np.zeros(labels.shape[1])
    for position, label in enumerate(labels.T):
        share = label.mean()
        if 0 < share < 1:
            svm = LinearSVC(dual=False).fit(standardized, label)
            conditional[position] = _conditional_entropy(label, svm.predict(standardized))
            entropy[position] = _entropy(share)
    return Score(float(np.exp(conditional.sum())), conditional_entropy=conditional, entropy=entropy)


def _conditional_entropy(label: np.ndarray, prediction: np.ndarray) -> float:
    sides = [label[prediction == side] for side in np.unique(prediction)]
    return float(sum(len(side) / len(label) * _entropy(side.mean()) for side in sides))


def _entropy(share: float) -> float:
    """Of a coin that shows heads with this probability, in nats."""
    return float(-sum(p * np.log(p) for p in (share, 1 - share) if p > 0))
