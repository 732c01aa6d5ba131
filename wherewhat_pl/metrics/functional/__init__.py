"""The metrics as pure functions of codes ``[N, n]`` and factors ``[N, f]``, numpy or torch, or of an encoder."""

from .beta_vae import beta_vae_score
from .dci import dci
from .explicitness import explicitness
from .factor_vae import FACTOR_VAE_PRESETS, factor_vae_score
from .image_quality import frechet_distance, kernel_distance, precision_recall
from .information import factor_entropies, mutual_information
from .inputs import MetricWarning, Score
from .irs import irs
from .mig import mig
from .modularity import modularity
from .sampling import encode_grid
from .sap import sap, sap_continuous
from .separability import linear_separability
from .udr import UDRResult, udr
from .unsupervised import code_dependence
from .where import (
    Faithfulness,
    mask_area,
    mask_faithfulness,
    mask_overlap,
    mask_stability,
    match_size,
    mean_overlap,
    traversal_change,
)

__all__ = [
    "FACTOR_VAE_PRESETS",
    "Faithfulness",
    "MetricWarning",
    "Score",
    "UDRResult",
    "beta_vae_score",
    "code_dependence",
    "dci",
    "encode_grid",
    "explicitness",
    "factor_entropies",
    "factor_vae_score",
    "frechet_distance",
    "irs",
    "kernel_distance",
    "linear_separability",
    "mask_area",
    "mask_faithfulness",
    "mask_overlap",
    "mask_stability",
    "match_size",
    "mean_overlap",
    "mig",
    "modularity",
    "mutual_information",
    "precision_recall",
    "sap",
    "sap_continuous",
    "traversal_change",
    "udr",
]
