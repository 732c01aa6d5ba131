"""Image quality on the bundled VGG features: ``fd_vgg``, ``kd_vgg``, ``pr_vgg``.

The formulas are those of FID, KID and improved precision and recall; the features are the mean activations of relu5_3
of the VGG16 that comes with shift-tolerant LPIPS, 512 numbers per image. So the values do not compare with anybody's
FID, only with each other, and the names say so. Any other function to features can be given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from wherewhat_pl.metrics.functional.image_quality import frechet_distance, kernel_distance, precision_recall
from wherewhat_pl.metrics.perceptual import PerceptualDistance

Embed = Callable[[Tensor], Tensor]


class _TwoSets(Metric):
    """Features of real and of generated images."""

    full_state_update = False
    least_images: int = 2  #: on each side; with fewer ``compute`` raises ValueError

    def __init__(self, embed: Embed | PerceptualDistance | None = None, **settings: Any) -> None:
        """``embed``: images ``[B, C, H, W]`` in [-1, 1] -> features ``[B, D]``; the bundled VGG's if not given."""
        super().__init__(**settings)
        network = PerceptualDistance() if embed is None else embed
        self.embed: Embed = network.embeddings if isinstance(network, PerceptualDistance) else network
        # As a submodule it moves with the metric from device to device.
        self.network = network if isinstance(network, PerceptualDistance) else None

    def _features(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self.embed(images)


class FrechetDistanceVGG(_TwoSets):
    """Squared Frechet distance of Gaussians fitted to the features of two sets (``fd_vgg``); lower is better.

    Only sums are kept, so any number of images costs the same memory. ``update(images, real)`` takes images
    ``[B, C, H, W]`` in [-1, 1]; ``compute()`` gives a scalar, at least 0. The features' number should be well below the
    images' (512 for VGG): with fewer images covariances are singular and the distance is biased upward.
    """

    higher_is_better = False

    def __init__(self, embed: Embed | PerceptualDistance | None = None, **settings: Any) -> None:
        super().__init__(embed, **settings)
        for side in ("real", "generated"):
            # Empty until the first batch tells the number of features; summed over processes.
            for name, shape in (("count", ()), ("sum", (1,)), ("outer", (1, 1))):
                self.add_state(f"{side}_{name}", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor, real: bool) -> None:
        """Add images ``[B, C, H, W]`` in [-1, 1] to the real or to the generated set."""
        features = self._features(images).double()
        side = "real" if real else "generated"
        for name, added in (("count", len(features)), ("sum", features.sum(0)), ("outer", features.mT @ features)):
            setattr(self, f"{side}_{name}", getattr(self, f"{side}_{name}") + added)

    def compute(self) -> Tensor:
        """The distance, float64.

        Raises:
            ValueError: fewer than two images on a side.
        """
        moments = []
        for side in ("real", "generated"):
            count, total, outer = (getattr(self, f"{side}_{name}") for name in ("count", "sum", "outer"))
            if count < self.least_images:
                raise ValueError(f"fd_vgg: needs two {side} images or more, got {int(count)}")
            mean = total / count
            moments += [mean, (outer - count * torch.outer(mean, mean)) / (count - 1)]
        return frechet_distance(*moments)


class _ListedSets(_TwoSets):
    real: list[Tensor]
    generated: list[Tensor]

    def __init__(self, embed: Embed | PerceptualDistance | None = None, **settings: Any) -> None:
        super().__init__(embed, **settings)
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("generated", [], dist_reduce_fx="cat")

    def update(self, images: Tensor, real: bool) -> None:
        """Add images ``[B, C, H, W]`` in [-1, 1] to the real or to the generated set."""
        (self.real if real else self.generated).append(self._features(images))

    def _sets(self) -> tuple[Tensor, Tensor]:
        real, generated = (dim_zero_cat(own) if len(own) else torch.zeros(0, 1) for own in (self.real, self.generated))
        return real, generated


class KernelDistanceVGG(_ListedSets):
    """Unbiased squared kernel distance of the features of two sets (``kd_vgg``); lower is better, 0 for equal ones."""

    higher_is_better = False

    def compute(self) -> Tensor:
        """Scalar, float64; may be slightly negative."""
        return kernel_distance(*self._sets())


class PrecisionRecallVGG(_ListedSets):
    """Improved precision and recall on the features of two sets (``pr_vgg``); both 0 to 1, higher is better."""

    higher_is_better = True

    def __init__(self, embed: Embed | PerceptualDistance | None = None, neighbours: int = 3, **settings: Any) -> None:
        super().__init__(embed, **settings)
        if neighbours < 1:
            raise ValueError(f"pr_vgg: needs 1 neighbour or more, not {neighbours}")
        self.neighbours, self.least_images = neighbours, neighbours + 1

    def compute(self) -> dict[str, Tensor]:
        """``precision`` and ``recall``."""
        precision, recall = precision_recall(*self._sets(), neighbours=self.neighbours)
        return {"precision": precision, "recall": recall}
