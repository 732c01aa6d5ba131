"""Measuring: disentanglement with and without labels, perceptual distance, masks, image quality.

Metrics take tensors or functions, never a training system, so they serve any generator or encoder; this package
imports nothing of the rest and can be lifted out. The classes are ``torchmetrics.Metric``; the mathematics is in
``functional``.
"""

from wherewhat_pl.metrics.image_quality import FrechetDistanceVGG, KernelDistanceVGG, PrecisionRecallVGG
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.metrics.supervised import (
    DCI,
    BetaVAEScore,
    Explicitness,
    FactorVAEScore,
    InterventionalRobustness,
    Modularity,
    MutualInformationGap,
    SeparatedAttributePredictability,
)

__all__ = [
    "DCI",
    "BetaVAEScore",
    "Explicitness",
    "FactorVAEScore",
    "FrechetDistanceVGG",
    "InterventionalRobustness",
    "KernelDistanceVGG",
    "Modularity",
    "MutualInformationGap",
    "PerceptualDistance",
    "PrecisionRecallVGG",
    "SeparatedAttributePredictability",
]
