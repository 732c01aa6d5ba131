"""Every setting of an experiment, with its type, default, unit and reason; ``config.py`` fills them from files.

A field's comment says what it does, here and in ``python -m wherewhat_pl train --help``; intervals and lengths are in
thousands of real images (``_kimg``). Beside each number's type stands its range: what is outside makes no sense, or
no machine could hold it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from wherewhat_pl.bounds import Amount, Count, Latents, Pixels, Range, Several, Share
from wherewhat_pl.networks.feature_maps import FeatureMaps

Source = Literal["auto", "files", "official", "rendered", "generated"]
Loss = Literal["ps", "infogan", "gan"]
Prior = Literal["normal", "uniform"]
First = Literal["coarse", "fine"]
Precision = Literal["32-true", "bf16-mixed"]
Resume = Literal["auto", "never"]
Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
WandbMode = Literal["auto", "online", "offline", "disabled"]

Kimg = Annotated[float, Range(0.001, 1e9)]  # no less than an image
Beta = Annotated[float, Range(0, 0.999999)]
Processes = Annotated[int, Range(1, 1024)]


@dataclass
class DataConfig:
    name: str = "shapes3d"  # shapes3d | dsprites | celeba | ffhq | images | stream
    # auto: what lies in root, else pictures made here, and said so. official: only the complete published set.
    # files (photographs): what lies in root, or an error. rendered (synthetic sets), generated (faces): made here.
    source: Source = "auto"
    root: str = "data"  # folder of the official files, or of the photographs
    cache: str | None = None  # folder for prepared photographs; null: data/prepared
    max_bad: Share = 0.001  # share of photographs that may be unreadable; they are skipped and listed
    resolution: Pixels = 64  # pixels, a power of two
    mirror: bool = False  # flip training images horizontally with probability 1/2


@dataclass
class GeneratorConfig:
    modules: list[str] = field(default_factory=list)  # see wherewhat_pl/networks/generator.py
    latents: Latents | None = None  # without modules: spread over the published list, made for data.resolution
    feature_maps: FeatureMaps = field(default_factory=lambda: FeatureMaps(base=1024))
    feature_map_scale: Count = 6  # modules per stage (published: nf_scale)


@dataclass
class CriticConfig:
    feature_maps: FeatureMaps = field(default_factory=lambda: FeatureMaps(base=2048))


@dataclass
class OtherFeatureMaps:
    """Where Q has other channels than D; null: the critic's."""

    base: Annotated[int, Range(1, 1_000_000)] | None = None
    decay: Annotated[float, Range(0, 5)] | None = None
    min: Annotated[int, Range(1, 4096)] | None = None
    max: Annotated[int, Range(1, 4096)] | None = None


@dataclass
class RecognizerConfig:
    feature_maps: OtherFeatureMaps = field(default_factory=OtherFeatureMaps)
    noise: Amount = 0.0  # standard deviation of white noise on what Q sees in training, for images in [-1, 1]


@dataclass
class PerceptualSimplicityConfig:
    weight: Amount = 1.0  # lambda of the published code; the paper's lambda is n / 2 times it
    epsilon: Annotated[float, Range(-1000, 1000)] = 3.0  # size of the perturbation
    random_epsilon: bool = False  # epsilon * N(0, 2^2) per sample (the published setting) instead of epsilon
    pairs: Annotated[float, Range(1e-6, 1)] = 1.0  # share of a batch that is perturbed; the rest is for D only
    cascade_kimg: Kimg | None = None  # perturb one dimension for the whole batch, the next one after so many kimg


@dataclass
class InfoGANConfig:
    weight: Amount = 1.0
    norm: Annotated[float, Range(1, 100)] = 2.0  # p of ||z - Q(G(z))||_p


@dataclass
class IsometryConfig:
    weight: Amount = 0.0  # of what keeps steps along a latent alike everywhere, and latents apart (losses.py)
    # it falls to this, geometrically, while the rates do (optimizer.falling), and the share of mean edges with it
    final_weight: Amount | None = None
    step: Annotated[float, Range(1e-3, 100)] = 0.5  # length of a step, toward the middle


@dataclass
class R1Config:
    gamma: Amount = 100.0  # must be tuned per resolution
    final_gamma: Amount | None = None  # gamma falls to it, geometrically, while the rates do (optimizer.falling)
    interval: Count = 16  # batches between two penalties, each multiplied by it (lazy regularization)


@dataclass
class OptimizerConfig:
    learning_rate: Amount = 0.002
    critic_ratio: Amount = 1.0  # D's rate over that of G and Q
    falling: Share = 0.0  # last share of trainer.max_kimg in which rates fall to 0, linearly
    beta1: Beta = 0.0
    beta2: Beta = 0.99
    eps: Share = 1.0e-8
    # 4 in the published code: G's rate and betas corrected as if its loss were lazy
    generator_interval: Count | None = None


@dataclass
class EMAConfig:
    halflife_kimg: Annotated[float, Range(1e-6, 1e9)] = 10.0
    recognizer: bool = False  # average Q too


@dataclass
class AugmentConfig:
    """Adaptive augmentation of what D sees, for sets of a few thousand images (see wherewhat_pl/augment.py)."""

    enabled: bool = False
    # mean sign of D's scores of reals that the probability is steered to
    target: Annotated[float, Range(-0.999, 0.999)] = 0.6
    speed_kimg: Kimg = 500.0  # images in which the probability can go from 0 to 1


@dataclass
class ModelConfig:
    loss: Loss = "ps"
    # what the modules C_spgroup-s-m of the list become: rectangles (themselves) | softmax (C_spgroup_sm-m) |
    # none (C_global-m) | a kind that a plug-in defines
    mask: str = "rectangles"
    prior: Prior = "normal"  # latents from N(0, I), or uniform on [-2, 2]
    # one module's latents alone for so many kimg, then each further module's faded in over as many
    progressive_kimg: Kimg | None = None
    progressive_first: First = "coarse"  # from the module of the fewest pixels up, or from the finest one down
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    critic: CriticConfig = field(default_factory=CriticConfig)  # D and Q, each with weights of its own
    recognizer: RecognizerConfig = field(default_factory=RecognizerConfig)  # what Q has of its own
    ps: PerceptualSimplicityConfig = field(default_factory=PerceptualSimplicityConfig)
    infogan: InfoGANConfig = field(default_factory=InfoGANConfig)
    isometry: IsometryConfig = field(default_factory=IsometryConfig)
    r1: R1Config = field(default_factory=R1Config)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    ema: EMAConfig = field(default_factory=EMAConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    instance_noise: Amount = 0.0  # standard deviation of smooth noise on all that D sees (instance_noise.py)
    reuse_fakes: bool = False  # D learns from the fakes that G has just learned from, not from new ones


@dataclass
class TrainerConfig:
    max_kimg: Amount = 25000.0  # length of the training, in thousands of real images
    batch_size: Annotated[int, Range(1, 65_536)] = 32  # total over all devices
    accumulate: Count = 1  # parts into which each process cuts its share of a batch, one after the other in memory
    accelerator: Accelerator = "auto"  # auto: GPUs if there are any
    devices: Processes | None = None  # per node; null: every GPU there is, or one CPU process
    num_nodes: Annotated[int, Range(1, 4096)] = 1
    precision: Precision = "32-true"
    channels_last: bool = True
    # torch.compile for the plain passes; R1 stays eager (no double backward through compiled code)
    compile: bool = False
    cuda_graphs: bool = False  # on one GPU, record a step's kernels once and replay them (docs/performance.md)
    threads: Processes | None = None  # CPU threads of torch; null leaves torch's choice
    deterministic: bool = True  # deterministic kernels, where there are any; cuDNN too


@dataclass
class RunConfig:
    root: str = "runs"  # folder of all runs; this one is root/experiment/name
    name: str | None = None  # null: made from the seed and the settings given on the command line
    resume: Resume = "auto"  # auto continues a run of that name; never refuses
    init_from: str | None = None  # a run folder or checkpoint whose weights to start from


@dataclass
class CheckpointConfig:
    interval_kimg: Kimg = 100.0
    interval_minutes: Amount = 10.0  # whichever comes first
    keep: Several = 2  # the newest ones; at least 2, so that a damaged `last` has one before it


@dataclass
class PicturesConfig:
    interval_kimg: Kimg = 100.0
    columns: Annotated[int, Range(2, 100)] = 9  # values from -2 to 2 along each latent
    at_start: bool = True  # draw one before the first step


@dataclass
class EvalConfig:
    """Metrics during training, of the averaged generator; ``python -m wherewhat_pl eval`` measures them afterwards."""

    interval_kimg: Kimg | None = None  # null: never
    metrics: list[str] = field(default_factory=lambda: ["tpl_small"])  # names: see docs/evaluation.md
    distance: str = "stlpips_vgg"  # of TPL; lpips_vgg is the paper's, and fetches its weights on first use
    threshold: Amount | None = None  # TPL of an active dimension; null: the preset's


@dataclass
class FactorsConfig:
    """The check, at the end, of which latent explains which factor or attribute; only where these are known."""

    images: Several = 4096


@dataclass
class WandbConfig:
    mode: WandbMode = "auto"  # auto: WANDB_MODE, else online only if a key is configured
    project: str | None = None  # null: WANDB_PROJECT, else wherewhat
    entity: str | None = None  # null: WANDB_ENTITY, else the account's own
    group: str | None = None  # null: WANDB_RUN_GROUP, else the experiment
    tags: list[str] = field(default_factory=list)  # none: those in WANDB_TAGS


@dataclass
class LoggerConfig:
    interval_kimg: Kimg = 1.0  # between two rows of metrics.jsonl
    csv: bool = False  # the same rows as csv/version_N/metrics.csv too, one version for each time the run is continued
    wandb: WandbConfig = field(default_factory=WandbConfig)


@dataclass
class ExperimentConfig:
    """Everything a run is made from; saved, resolved, as its ``config.yaml``."""

    experiment: str = "unnamed"  # name of the file it came from
    reference: bool = False  # the published numbers with their quirks (see REFERENCE)
    plugins: list[str] = field(default_factory=list)  # modules of your own, imported first (docs/extending.md)
    seed: Annotated[int, Range(-(2**63), 2**63 - 1)] = 0  # of every draw: weights, latents, batches, pictures
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    run: RunConfig = field(default_factory=RunConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    pictures: PicturesConfig = field(default_factory=PicturesConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    factors: FactorsConfig = field(default_factory=FactorsConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)


# The published code's numbers (CelebA), its quirks included; `reference: true` puts them under the experiment's own.
REFERENCE: dict[str, Any] = {
    "model": {
        "prior": "normal",
        "ps": {"weight": 0.01, "epsilon": 3.0, "random_epsilon": True, "pairs": 1.0},
        "isometry": {"weight": 0.0, "final_weight": None},
        "reuse_fakes": False,
        "r1": {"gamma": 100.0, "interval": 16},
        "optimizer": {
            "learning_rate": 0.002,
            "critic_ratio": 1.0,
            "falling": 0.0,
            "beta1": 0.0,
            "beta2": 0.99,
            "eps": 1.0e-8,
            "generator_interval": 4,
        },
        "ema": {"halflife_kimg": 10.0, "recognizer": False},
        "generator": {"feature_maps": {"base": 1024, "decay": 1.0, "min": 64, "max": 512}, "feature_map_scale": 6},
        "critic": {"feature_maps": {"base": 2048, "decay": 1.0, "min": 64, "max": 512}},
    },
    "trainer": {"batch_size": 8, "max_kimg": 25000.0},
}
