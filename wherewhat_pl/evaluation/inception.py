"""Image quality by the standard Inception network, as others report it; needs the optional extra ``[fid]``.

FID, KID, inception score and PPL are torchmetrics' own, on torch-fidelity's port of the original weights, which it
fetches on first use. Without these libraries ``fd_vgg``, ``kd_vgg`` and ``pr_vgg`` are there, under their own names.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from wherewhat_pl.evaluation.context import EvaluationContext, Outcome
from wherewhat_pl.evaluation.measures import ON_IMAGES, precision_and_recall
from wherewhat_pl.evaluation.registry import metric
from wherewhat_pl.metrics.functional import precision_recall
from wherewhat_pl.networks.latents import sample_prior

LIBRARIES = ("torch_fidelity", "torchvision")
POOL3 = 2048  #: torchmetrics' name of the features that FID and KID are defined on


def missing_libraries() -> list[str]:
    """Those of the optional libraries that are not installed."""
    return [name for name in LIBRARIES if find_spec(name) is None]


def _missing() -> str:
    if not (missing := missing_libraries()):
        return ""
    return (
        f"needs the optional extra [fid] (missing: {', '.join(missing)}); run 'pip install \"wherewhat-pl[fid]\"', "
        f"or use fd_vgg, kd_vgg, pr_vgg"
    )


@metric("fid", "FID, low", **ON_IMAGES, missing=_missing)
def fid(m: EvaluationContext, feature: int | nn.Module = POOL3) -> Outcome:
    """FID (Heusel et al. 2017) between ``images`` real and as many generated ones."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = _updated(m, FrechetInceptionDistance(feature=feature, sync_on_compute=False))
    return Outcome(float(metric.compute()))


@metric("kid", "KID, low", **ON_IMAGES, missing=_missing)
def kid(m: EvaluationContext, feature: int | nn.Module = POOL3) -> Outcome:
    """KID (Binkowski et al. 2018), mean and deviation over 100 random subsets of up to 1,000 images."""
    from torchmetrics.image.kid import KernelInceptionDistance

    subset = min(1000, m.settings.images)
    metric = _updated(m, KernelInceptionDistance(feature=feature, subset_size=subset, sync_on_compute=False))
    mean, std = _seeded(m, metric.compute)
    return Outcome(float(mean), {"std": float(std)}, settings={"subset_size": subset})


@metric("inception_score", "inception score, high", settings=("images",), missing=_missing)
def inception_score(m: EvaluationContext, feature: str | nn.Module = "logits_unbiased") -> Outcome:
    """Inception score (Salimans et al. 2016), mean and deviation over 10 splits."""
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(feature=feature, sync_on_compute=False).to(m.model.device)
    for images in m.generated_images():
        metric.update(images)
    mean, std = _seeded(m, metric.compute)
    return Outcome(float(mean), {"std": float(std)})


@metric("pr_inception", "precision and recall on Inception features, high", **ON_IMAGES, missing=_missing)
def pr_inception(m: EvaluationContext, feature: int | nn.Module = POOL3) -> Outcome:
    """Improved precision and recall (Kynkaanniemi et al. 2019) on Inception's features, not on their VGG's."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    network = FrechetInceptionDistance(feature=feature).to(m.model.device).inception
    precision, recall = precision_recall(*m.features(lambda images: network(images).flatten(1)))
    return precision_and_recall(float(precision), float(recall))


@metric("ppl", "perceptual path length (LPIPS-VGG), low", settings=("images",), missing=_missing)
def ppl(m: EvaluationContext) -> Outcome:
    """Perceptual path length (Karras et al. 2019) in latent space, by LPIPS-VGG at 64 pixels."""
    from torchmetrics.functional.image import perceptual_path_length

    drawing: Any = _Drawing(m)  # torchmetrics asks for a subclass, and checks for the methods
    how: Any = {"num_samples": m.settings.images, "batch_size": min(64, m.batch), "device": m.model.device}
    mean, std, _ = _seeded(m, partial(perceptual_path_length, drawing, **how))
    return Outcome(float(mean), {"std": float(std)}, settings={"distance": "lpips_vgg", "epsilon": 1e-4})


class _Drawing(nn.Module):
    """The generator as torchmetrics wants it: it samples latents, and its images are 0 to 255."""

    def __init__(self, m: EvaluationContext) -> None:
        super().__init__()
        self.model = m.model

    def sample(self, num_samples: int) -> Tensor:
        return sample_prior(self.model.prior, num_samples, self.model.num_latents, device=self.model.device)

    def forward(self, latents: Tensor) -> Tensor:
        images = self.model.generate(latents).clamp(-1, 1)
        return (images.expand(-1, 3, -1, -1) + 1) * 127.5


def _updated(m: EvaluationContext, metric: Any) -> Any:
    metric = metric.to(m.model.device)
    for real, batches in ((True, m.real_images()), (False, m.generated_images())):
        for images in batches:
            metric.update(images, real=real)
    return metric


def _seeded(m: EvaluationContext, work: Callable[[], Any]) -> Any:
    """torchmetrics draws its subsets from torch's global generator: seeded here, and left as it was."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(m.settings.seed)
        return work()
