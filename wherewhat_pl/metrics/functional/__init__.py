"""The metrics as pure functions of codes ``[N, n]`` and factors ``[N, f]``, numpy or torch, or of an encoder."""

from wherewhat_pl.metrics.functional.beta_vae import beta_vae_score
from wherewhat_pl.metrics.functional.coverage import coverage, geometry_residuals, orthonormal_bases, placed_residuals
from wherewhat_pl.metrics.functional.dci import dci
from wherewhat_pl.metrics.functional.explicitness import explicitness
from wherewhat_pl.metrics.functional.factor_vae import FACTOR_VAE_PRESETS, factor_vae_score
from wherewhat_pl.metrics.functional.image_quality import frechet_distance, kernel_distance, precision_recall
from wherewhat_pl.metrics.functional.information import factor_entropies, mutual_information
from wherewhat_pl.metrics.functional.irs import irs
from wherewhat_pl.metrics.functional.mig import mig
from wherewhat_pl.metrics.functional.modularity import modularity
from wherewhat_pl.metrics.functional.sap import sap, sap_continuous
from wherewhat_pl.metrics.functional.separability import linear_separability
from wherewhat_pl.metrics.functional.udr import UDRResult, udr
from wherewhat_pl.metrics.functional.unsupervised import code_dependence
from wherewhat_pl.metrics.functional.where import (
    Faithfulness,
    mask_area,
    mask_faithfulness,
    mask_overlap,
    mask_stability,
    mean_overlap,
    traversal_change,
)
from wherewhat_pl.metrics.inputs import MetricWarning, Score
from wherewhat_pl.metrics.numerics.reference_draws import encode_grid

__all__ = [
    "FACTOR_VAE_PRESETS",
    "Faithfulness",
    "MetricWarning",
    "Score",
    "UDRResult",
    "beta_vae_score",
    "code_dependence",
    "coverage",
    "dci",
    "encode_grid",
    "explicitness",
    "factor_entropies",
    "factor_vae_score",
    "frechet_distance",
    "geometry_residuals",
    "irs",
    "kernel_distance",
    "linear_separability",
    "mask_area",
    "mask_faithfulness",
    "mask_overlap",
    "mask_stability",
    "mean_overlap",
    "mig",
    "modularity",
    "mutual_information",
    "orthonormal_bases",
    "placed_residuals",
    "precision_recall",
    "sap",
    "sap_continuous",
    "traversal_change",
    "udr",
]
