"""Distances between two sets of images in a feature space: Frechet, kernel, precision and recall.

Which features they are decides what the numbers mean: on anything but the standard Inception network they must not be
called FID or KID. The names in this package are ``fd_vgg``, ``kd_vgg`` and ``pr_vgg`` (see
``metrics/image_quality.py``).
"""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> Tensor:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians (Heusel et al. 2017).

    ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))``, in float64.

    Args:
        mean_a, mean_b: ``[D]``.
        covariance_a, covariance_b: ``[D, D]``, may be singular.

    Returns:
        scalar, at least 0, in squared feature units.

    Raises:
        ValueError: shapes that do not fit each other, or values that are not finite.
    """
    shapes = [list(t.shape) for t in (mean_a, covariance_a, mean_b, covariance_b)]
    if shapes != [[len(mean_a)], [len(mean_a)] * 2] * 2:
        raise ValueError(f"image quality: means and covariances of shapes {shapes} do not fit each other")
    if not all(t.isfinite().all() for t in (mean_a, covariance_a, mean_b, covariance_b)):
        raise ValueError("image quality: features have NaN or infinite values")
    mean_a, covariance_a, mean_b, covariance_b = (t.double() for t in (mean_a, covariance_a, mean_b, covariance_b))
    # The trace of (A B)^(1/2) is that of the symmetric (A^(1/2) B A^(1/2))^(1/2): no complex numbers, no iteration.
    values, vectors = torch.linalg.eigh(covariance_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.mT
    cross = torch.linalg.eigvalsh(root @ covariance_b @ root).clamp_min(0).sqrt().sum()
    distance = (mean_a - mean_b).square().sum() + covariance_a.trace() + covariance_b.trace() - 2 * cross
    return distance.clamp_min(0)


def kernel_distance(features_a: Tensor, features_b: Tensor, degree: int = 3, chunk: int = 4096) -> Tensor:
    """Squared maximum mean discrepancy with the kernel ``(x.y / D + 1)^degree``, unbiased (Binkowski et al. 2018).

    All samples are used, where KID averages over random subsets: the same expectation with less noise.

    Args:
        features_a, features_b: ``[N, D]`` and ``[M, D]``, N and M at least 2.
        degree: of the polynomial.
        chunk: rows of the kernel matrix at a time.

    Returns:
        scalar; 0 on average for samples of one distribution, so it can be slightly negative.

    Raises:
        ValueError: fewer than two samples on a side, or features that are not finite.
    """
    a, b = features_a.double(), features_b.double()
    _enough(a, b, 2)

    def total(left: Tensor, right: Tensor) -> Tensor:
        parts = [(some @ right.mT / left.shape[1] + 1).pow(degree).sum() for some in left.split(chunk)]
        return torch.stack(parts).sum()

    def without_self(x: Tensor) -> Tensor:
        own = (x.square().sum(1) / x.shape[1] + 1).pow(degree).sum()
        return (total(x, x) - own) / (len(x) * (len(x) - 1))

    return without_self(a) + without_self(b) - 2 * total(a, b) / (len(a) * len(b))


def precision_recall(real: Tensor, generated: Tensor, neighbours: int = 3, chunk: int = 4096) -> tuple[Tensor, Tensor]:
    """Improved precision and recall (Kynkaanniemi et al. 2019).

    Precision: share of the generated samples that lie within some real sample's distance to its k-th nearest real
    neighbour. Recall: the same with the two sets exchanged.

    Args:
        real, generated: ``[N, D]`` and ``[M, D]``, N and M more than ``neighbours``.
        neighbours: k, at least 1.
        chunk: rows of the distance matrix at a time.

    Returns:
        precision and recall, scalars in [0, 1].

    Raises:
        ValueError: too few samples, no neighbours, or features that are not finite.
    """
    if neighbours < 1:
        raise ValueError(f"image quality: precision and recall need 1 neighbour or more, not {neighbours}")
    real, generated = real.double(), generated.double()
    _enough(real, generated, neighbours + 1)

    def covered(reference: Tensor, samples: Tensor) -> Tensor:
        # The nearest "neighbour" of a sample is itself, hence k + 1.
        radii = torch.cat(
            [torch.cdist(some, reference).kthvalue(neighbours + 1, dim=1).values for some in reference.split(chunk)]
        )
        inside = [(torch.cdist(some, reference) <= radii).any(1) for some in samples.split(chunk)]
        return torch.cat(inside).double().mean()

    return covered(real, generated), covered(generated, real)


def _enough(a: Tensor, b: Tensor, least: int) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.numel() == 0 or min(len(a), len(b)) < least:
        raise ValueError(
            f"image quality: needs features [samples, D] of {least} samples or more on both sides, "
            f"got {list(a.shape)} and {list(b.shape)}"
        )
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("image quality: features have NaN or infinite values")
