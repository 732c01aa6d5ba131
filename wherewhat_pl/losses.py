"""The losses, as pure functions of tensors, per sample unless they say otherwise (Zhu et al. 2021, section 3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from wherewhat_pl.networks.layers import at_least_float32, in_float32

SMALLEST = 1e-12  # what lengths and edges are divided by at least


def generator_adversarial(fake_scores: Tensor) -> Tensor:
    """softplus(-D(G(z))), the non-saturating loss: ``[B, 1] -> [B]``."""
    return F.softplus(-fake_scores).squeeze(1)


def discriminator_adversarial(fake_scores: Tensor, real_scores: Tensor) -> Tensor:
    """softplus(D(G(z))) + softplus(-D(x)): ``[B, 1], [B, 1] -> [B]``."""
    return (F.softplus(fake_scores) + F.softplus(-real_scores)).squeeze(1)


def r1_penalty(discriminator: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Squared gradient norm ``||grad_x D(x)||^2``, without gamma / 2 (Mescheder et al. 2018): ``[B, C, H, W] -> [B]``.

    The gradient is that of the batch sum of D, in float32, and is itself differentiable.
    """
    with in_float32(images):
        images = at_least_float32(images.detach()).requires_grad_(True)
        (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3))


def perturb(latents: Tensor, dimensions: Tensor, epsilon: Tensor | float) -> Tensor:
    """z + epsilon * onehot(d): latents ``[B, n]``, dimensions ``[B]`` int64, epsilon ``[B]`` or a number."""
    size = epsilon[:, None] if isinstance(epsilon, Tensor) else epsilon
    return latents + F.one_hot(dimensions, latents.shape[1]) * size


def perceptual_simplicity(
    latents: Tensor, perturbed: Tensor, codes: Tensor, perturbed_codes: Tensor, dimensions: Tensor
) -> Tensor:
    """PS loss in the published code's form, lambda 1.

    On every dimension but the perturbed one both codes are replaced by their average; no gradient is stopped. The
    paper's eq. 7 is the mean over dimensions without the 0.5: ``paper_lambda = n / 2 * lambda``.

    Args:
        latents: z ``[B, n]``.
        perturbed: z + epsilon * onehot(d) ``[B, n]``.
        codes: Q(G(z)) ``[B, n]``.
        perturbed_codes: Q(G(perturbed)) ``[B, n]``.
        dimensions: d ``[B]`` int64.

    Returns:
        ``[B]``.
    """
    average = (codes + perturbed_codes) / 2
    is_perturbed = F.one_hot(dimensions, latents.shape[1]).bool()
    first = torch.where(is_perturbed, codes, average)
    second = torch.where(is_perturbed, perturbed_codes, average)
    return 0.5 * ((latents - first).square().sum(1) + (perturbed - second).square().sum(1))


def isometry(images: Tensor, stepped: Tensor, dimensions: Tensor, mean_share: float = 1.0) -> Tensor:
    """How unlike an isometry G is, by short steps along its latents: a scalar, 0 if all is even and orthogonal.

    From each image m steps are taken along different latents. Lengths are measured against the image's edges, and a
    share of the mean ones: by how far things move rather than by how large or bright they are. The steps' Gram
    matrix should be the same everywhere: the mean squared length of each latent's steps on the diagonal, zeros beside
    it. The squared distance to that, over m and the square of the mean of all lengths (so a latent that hardly does
    anything may begin anywhere). The diagonal is what path length regularization asks for (Karras et al. 2020), here of
    each latent by itself; the rest is the orthogonal Jacobian of Wei et al. (2021). Under a prior that is not Gaussian,
    independent factors can be found by an isometry (Horan et al. 2021).

    Args:
        images: G(z) ``[B, C, H, W]``.
        stepped: G after a step along each of m latents ``[B, m, C, H, W]``.
        dimensions: those latents ``[B, m]`` int64, different ones in each row.
        mean_share: of the mean edges. With little of it faint images count for much, as long as there are some.
    """
    with in_float32(images):
        edges = squared_edges(at_least_float32(images.detach()))
        edges = (edges + mean_share * edges.mean()).clamp(min=SMALLEST)[:, None, None]
        moves = at_least_float32(stepped - images[:, None]).flatten(2)
        gram = moves @ moves.mT / moves.shape[2] / edges
        lengths = gram.diagonal(dim1=1, dim2=2)
        same = (dimensions.flatten()[:, None] == dimensions.flatten()).to(lengths.dtype)
        means = same @ lengths.flatten() / same.sum(1)
        off = gram - torch.diag_embed(means.view_as(lengths))
        return off.square().sum((1, 2)).mean() / (moves.shape[1] * lengths.mean().square().clamp(min=SMALLEST))


def squared_edges(images: Tensor) -> Tensor:
    """Mean squared differences of neighbouring pixels, across and up: ``[B, C, H, W] -> [B]``."""
    return images.diff(dim=2).square().mean((1, 2, 3)) + images.diff(dim=3).square().mean((1, 2, 3))


def infogan(latents: Tensor, codes: Tensor, norm: float = 2.0) -> Tensor:
    """||z - Q(G(z))||_p per sample: ``[B, n], [B, n] -> [B]``."""
    return torch.linalg.vector_norm(latents - codes, ord=norm, dim=1)
