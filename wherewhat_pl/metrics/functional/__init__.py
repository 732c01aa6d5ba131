"""The metrics as pure functions of codes ``[N, n]`` and factors ``[N, f]``, numpy or torch, or of an encoder."""

from .beta_vae import beta_vae_score
from .dci import dci
from .explicitness import explicitness
from .factor_vae import FACTOR_VAE_PRESETS, factor_vae_score
from .information import factor_entropies, mutual_information
from .inputs import MetricWarning, Score
from .irs import irs
from .mig import mig
from .modularity import modularity
from .sampling import encode_grid
from .sap import sap, sap_continuous
from .udr import UDRResult, udr
from .unsupervised import code_dependence

__all__ = [
    "FACTOR_VAE_PRESETS",
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
    "irs",
    "mig",
    "modularity",
    "mutual_information",
    "sap",
    "sap_continuous",
    "udr",
]
