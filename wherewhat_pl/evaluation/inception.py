"""Image quality by the standard Inception network, as others report it; needs the optional extra ``[fid]``.

FID, KID, inception score and PPL are torchmetrics' own, on torch-fidelity's port of the original weights, which it
fetches on first use. Without these libraries ``fd_vgg``, ``kd_vgg`` and ``pr_vgg`` are there, under their own names.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from wherewhat_pl.evaluation.context import Measuring, Outcome
from wherewhat_pl.metrics.functional import precision_recall

LIBRARIES = ("torch_fidelity", "torchvision")
POOL3 = 2048  #: torchmetrics' name of the features that FID and KID are defined on


def missing_libraries() -> list[str]:
    """Those of the optional libraries that are not installed."""
    return [name for name in LIBRARIES if find_spec(name) is None]


def fid(m: Measuring, feature: int | nn.Module = POOL3) -> Outcome:
    """FID (Heusel et al. 2017) between ``images`` real and as many generated ones."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = _updated(m, FrechetInceptionDistance(feature=feature, sync_on_compute=False))
    return Outcome(float(metric.compute()))


def kid(m: Measuring, feature: int | nn.Module = POOL3) -> Outcome:
    """KID (Binkowski et al. 2018), mean and deviation over 100 random subsets of up to 1,000 images."""
    from torchmetrics.image.kid import KernelInceptionDistance

    subset = min(1000, m.settings.images)
    metric = _updated(m, KernelInceptionDistance(feature=feature, subset_size=subset, sync_on_compute=False))
    mean, std = _seeded(m, metric.compute)
    return Outcome(float(mean), {"std": float(std)}, settings={"subset_size": subset})


def inception_score(m: Measuring, feature: str | nn.Module = "logits_unbiased") -> Outcome:
    """Inception score (Salimans et al. 2016), mean and deviation over 10 splits."""
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(feature=feature, sync_on_compute=False).to(m.loaded.device)
    for images in m.generated_images():
        metric.update(images)
    mean, std = _seeded(m, metric.compute)
    return Outcome(float(mean), {"std": float(std)})


def pr_inception(m: Measuring, feature: int | nn.Module = POOL3) -> Outcome:
    """Improved precision and recall (Kynkaanniemi et al. 2019) on Inception's features, not on their VGG's."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    network = FrechetInceptionDistance(feature=feature).to(m.loaded.device).inception
    with torch.no_grad():
        real, generated = (
            torch.cat([network(images).flatten(1).double() for images in batches])
            for batches in (m.real_images(), m.generated_images())
        )
    precision, recall = map(float, precision_recall(real, generated))
    harmonic = 2 * precision * recall / max(precision + recall, 1e-12)
    return Outcome(harmonic, {"precision": precision, "recall": recall})


def ppl(m: Measuring) -> Outcome:
    """Perceptual path length (Karras et al. 2019) in latent space, by LPIPS-VGG at 64 pixels."""
    from torchmetrics.functional.image import perceptual_path_length

    def measure() -> tuple[Tensor, Tensor, Tensor]:
        return perceptual_path_length(
            _Drawing(m),  # type: ignore[arg-type]  # it asks for a subclass, and checks for the methods
            num_samples=m.settings.images,
            batch_size=min(64, m.batch),
            device=m.loaded.device,
        )

    mean, std, _ = _seeded(m, measure)
    return Outcome(float(mean), {"std": float(std)}, settings={"distance": "lpips_vgg", "epsilon": 1e-4})


class _Drawing(nn.Module):
    """The generator as torchmetrics wants it: it samples latents, and its images are 0 to 255."""

    def __init__(self, m: Measuring) -> None:
        super().__init__()
        self.measuring = m

    def sample(self, num_samples: int) -> Tensor:
        return self.measuring.loaded.system.sample_latents(num_samples)

    def forward(self, latents: Tensor) -> Tensor:
        images = self.measuring.loaded.generate(latents).clamp(-1, 1)
        return (images.expand(-1, 3, -1, -1) + 1) * 127.5


def _updated(m: Measuring, metric: Any) -> Any:
    metric = metric.to(m.loaded.device)
    for real, batches in ((True, m.real_images()), (False, m.generated_images())):
        for images in batches:
            metric.update(images, real=real)
    return metric


def _seeded(m: Measuring, work: Callable[[], Any]) -> Any:
    """torchmetrics draws its subsets from torch's global generator: seeded here, and left as it was."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(m.settings.seed)
        return work()
