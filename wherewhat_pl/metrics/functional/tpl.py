"""Traversal perceptual length: how far an image moves, perceptually, along each latent dimension.

TPL chooses among models without labels (Zhu et al. 2021, eq. 11): lower is simpler, among models with the same number
of active dimensions. It needs only a function from latents to images and a perceptual distance, and so do the
accumulated distances under rotation of two dimensions, which have their minima where the two are disentangled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

Generate = Callable[[Tensor], Tensor]


class Distance(Protocol):
    """What TPL needs of a distance; :class:`~wherewhat_pl.metrics.perceptual.PerceptualDistance` is one."""

    name: str

    def features(self, images: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` in [-1, 1] -> vectors ``[B, D]``."""

    def between(self, features_a: Tensor, features_b: Tensor) -> Tensor:
        """Distances ``[B]`` of images from their features."""


@dataclass(frozen=True)
class TPLSettings:
    """How TPL is measured.

    Attributes:
        points: images along each traversal, the ends included.
        base_codes: random latents that the other dimensions are fixed at.
        threshold: dimensions with at least this TPL are active.
        low, high: where a traversal starts and ends on its axis.
        seed: of the base codes, N(0, I).
    """

    points: int = 25
    base_codes: int = 10
    threshold: float = 0.3
    low: float = -4.0
    high: float = 4.0
    seed: int = 0


TPL_PRESETS: dict[str, TPLSettings] = {
    "small": TPLSettings(25, 10, 0.3),
    "large": TPLSettings(49, 300, 0.3),
    "huge": TPLSettings(49, 3000, 0.3),
    "vae_dsprites": TPLSettings(50, 500, 0.01),
}


@dataclass(frozen=True)
class TPLResult:
    """TPL of one generator.

    Attributes:
        mean, std: ``[n]`` per dimension, average and spread (population) over the base codes.
        distance: name of the perceptual distance; lengths by different distances do not compare.
        settings: what was measured.
    """

    mean: Tensor
    std: Tensor
    distance: str
    settings: TPLSettings = field(default_factory=TPLSettings)

    @property
    def active(self) -> Tensor:
        """``[n]`` bool: TPL at or above the threshold."""
        return self.mean >= self.settings.threshold

    @property
    def num_active(self) -> int:
        """Number of active dimensions."""
        return int(self.active.sum())

    @property
    def total(self) -> float:
        """Sum over the active dimensions. 0 for a collapsed generator, the worst one: compare ``num_active`` first."""
        return float(self.mean[self.active].sum())

    @property
    def per_dimension(self) -> float:
        """Sum over the active dimensions, divided by the number of all dimensions."""
        return self.total / len(self.mean)


def traversal_perceptual_length(
    generate: Generate,
    num_latents: int,
    distance: Distance,
    settings: TPLSettings | str = "small",
    *,
    base_codes: Tensor | None = None,
    batch: int = 64,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> TPLResult:
    """TPL of a generator (Zhu et al. 2021, section 3.4).

    From each base code and along each axis, ``points`` images from ``low`` to ``high``; the perceptual distances
    between neighbours are added up. All traversals are one stream of images cut in batches, whose neighbours'
    features are kept: an image goes through the network once. With ``torch.distributed`` initialized the traversals
    are shared among the processes, and every process returns the whole result.

    Args:
        generate: latents ``[B, num_latents]`` float32 on ``device`` -> images ``[B, 1 or 3, H, W]`` in [-1, 1]; must
            not depend on the batch (fixed noise maps, evaluation mode).
        num_latents: n.
        distance: of pairs of images.
        settings: settings, or the name of a preset: ``small``, ``large``, ``huge``, ``vae_dsprites``.
        base_codes: ``[T, n]`` in the place of random ones.
        batch: images generated and compared at a time.
        device: of the latents.
        progress: called with images done and images to do in this process.

    Returns:
        :class:`TPLResult`, on the CPU.

    Raises:
        ValueError: an unknown preset, fewer than two points, or base codes of another width.
    """
    chosen = _settings(settings)
    codes, points = base_codes_of(chosen, num_latents, base_codes), chosen.points
    axis = torch.linspace(chosen.low, chosen.high, points)
    together = dist.is_available() and dist.is_initialized()
    rank, processes = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
    lengths = torch.zeros(len(codes) * num_latents, dtype=torch.float64)
    own = torch.arange(rank, len(lengths), processes)

    def latents(first: int, last: int) -> Tensor:
        image = torch.arange(first, last)
        path, point = own[image // points], image % points
        batch_latents = codes[path // num_latents].clone()
        batch_latents[torch.arange(len(image)), path % num_latents] = axis[point]
        return batch_latents.to(device)

    total = len(own) * points
    steps = torch.zeros(total, dtype=torch.float64)  # steps[k]: from image k - 1 to image k
    previous: Tensor | None = None
    for first, last in pairwise([*range(0, total, max(1, batch)), total]):
        with torch.no_grad():
            images = generate(latents(first, last))
            features = distance.features(shrink_for_distance(images))
            steps[first + 1 : last] = distance.between(features[:-1], features[1:]).double().cpu()
            if previous is not None:
                steps[first] = distance.between(previous, features[:1]).double().item()
        previous = features[-1:].clone()  # not a view, which would keep the whole batch
        if progress is not None:
            progress(last, total)
    lengths[own] = steps.view(len(own), points)[:, 1:].sum(1)  # the first step would come from the path before
    if processes > 1:
        lengths = lengths.to(device if dist.get_backend() == "nccl" else "cpu")  # NCCL takes nothing else
        dist.all_reduce(lengths)
    lengths = lengths.cpu().view(len(codes), num_latents)
    used = replace(chosen, base_codes=len(codes))
    return TPLResult(lengths.mean(0), lengths.std(0, correction=0), distance.name, used)


def shrink_for_distance(images: Tensor) -> Tensor:
    """Images above 256 pixels in either direction, box-averaged by a whole factor to a side of 256 to 511."""
    factor = min(images.shape[2:]) // 256
    return F.avg_pool2d(images, factor) if factor > 1 else images


def _settings(settings: TPLSettings | str) -> TPLSettings:
    if isinstance(settings, str):
        if settings not in TPL_PRESETS:
            raise ValueError(f"tpl: {settings!r} is not one of the presets {', '.join(TPL_PRESETS)}")
        settings = TPL_PRESETS[settings]
    if settings.points < 2 or settings.base_codes < 1:
        raise ValueError(f"tpl: needs two points and one base code, got {settings.points} and {settings.base_codes}")
    return settings


def base_codes_of(settings: TPLSettings, num_latents: int, given: Tensor | None = None) -> Tensor:
    """Base codes ``[T, num_latents]``: the given ones, checked, or random ones from the settings' seed."""
    if given is None:
        # Seeded by a hash, so that neighbouring seeds have nothing in common.
        digest = hashlib.blake2b(repr((settings.seed, "tpl")).encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
        return torch.randn(settings.base_codes, num_latents, generator=generator)
    if given.ndim != 2 or given.shape[1] != num_latents or len(given) == 0:
        raise ValueError(f"tpl: base codes need shape [T, {num_latents}], got {list(given.shape)}")
    return given.detach().cpu().float()
