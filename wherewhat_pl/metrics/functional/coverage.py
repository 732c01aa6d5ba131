"""Does a generator draw the shapes there are? Samples beside the nearest of all geometries, whatever their colours.

Where a picture is linear in its colours once the geometry is fixed, as in 3DShapes, the best colours are a
least-squares fit: with an orthonormal basis B_g of the span of geometry g's maps, the residual of an image x is

    |x|^2 - |B_g x|^2,

one matrix product for all geometries. For a shape that is moved over an empty picture, as in dSprites, the nearest
glyph and place come from a correlation. No recognizer is needed, so this tells early, and tells a generator that does
not draw a factor from a recognizer that does not read it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wherewhat_pl.metrics.inputs import Score


def orthonormal_bases(maps: Tensor, tolerance: float = 1e-5) -> Tensor:
    """An orthonormal basis of the span of each geometry's maps.

    Args:
        maps: ``[G, K, P]``: K maps of P pixels per geometry.
        tolerance: directions shorter than this times the longest one are left out.

    Returns:
        ``[G, K, P]`` float32; rows that are left out are zero.
    """
    _, lengths, directions = torch.linalg.svd(maps.double(), full_matrices=False)
    kept = lengths > tolerance * lengths.amax(dim=1, keepdim=True)
    return (directions * kept[..., None]).float()


def geometry_residuals(images: Tensor, bases: Tensor, chunk: int = 512) -> Tensor:
    """Root mean square error of each image, fitted by least squares to each geometry, each channel by itself.

    Args:
        images: ``[N, C, H, W]``, black at 0.
        bases: ``[G, K, H * W]`` from :func:`orthonormal_bases`.
        chunk: images at a time.

    Returns:
        ``[N, G]`` float32, in the images' units.
    """
    pixels = bases.shape[-1]
    if images[0, 0].numel() != pixels:
        raise ValueError(f"coverage: images have {images[0, 0].numel()} pixels and the geometries' maps {pixels}")
    rows, channels = bases.flatten(0, 1), images.shape[1]
    residuals = []
    for part in images.split(chunk):
        x = part.float().flatten(2)  # [B, C, P]
        explained = (x.flatten(0, 1) @ rows.T).square().view(len(x), channels, *bases.shape[:2]).sum(dim=(1, 3))
        left = (x.square().sum(dim=(1, 2))[:, None] - explained).clamp_min(0)
        residuals.append((left / (channels * pixels)).sqrt())
    return torch.cat(residuals)


def placed_residuals(images: Tensor, glyphs: Tensor, chunk: int = 64) -> Tensor:
    """Root mean square error of each image to each glyph at its best place and brightness.

    Args:
        images: ``[N, 1, H, W]``, empty at 0.
        glyphs: ``[G, H, W]``, each somewhere in an otherwise empty picture; places go around the edges.
        chunk: images at a time.

    Returns:
        ``[N, G]`` float32, in the images' units. At a place s the best brightness leaves ``|x|^2 - (x . s)^2 / |s|^2``.
    """
    height, width = images.shape[2:]
    unit = glyphs.float() / glyphs.float().flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
    spectra = torch.fft.rfft2(unit).conj()  # [G, H, W / 2 + 1]
    residuals = []
    for part in images.split(chunk):
        x = part.float()[:, 0]
        spectrum = torch.fft.rfft2(x)
        best = torch.stack([torch.fft.irfft2(one * spectra, s=(height, width)).amax(dim=(1, 2)) for one in spectrum])
        left = x.square().sum(dim=(1, 2))[:, None] - best.clamp_min(0).square()  # [B, G]; brightness is not negative
        residuals.append((left.clamp_min(0) / (height * width)).sqrt())
    return torch.cat(residuals)


def coverage(samples: Tensor, reals: Tensor, sizes: tuple[int, ...] | None = None) -> Score:
    """Share of the geometry that samples draw: 0 for pictures of no geometry in particular, 1 as good as real ones.

    ``(average - best of samples) / (average - best of reals)``, where "best" is the mean residual to the nearest
    geometry and "average" the samples' mean residual to all of them.

    A generator that repeats one perfect picture has a share of 1, so how many different geometries are nearest stands
    beside it.

    Args:
        samples: ``[N, G]`` residuals of generated images, from :func:`geometry_residuals` or :func:`placed_residuals`.
        reals: ``[M, G]`` residuals of real ones.
        sizes: of the factors that make up the geometries, last one fastest; their product is G.

    Returns:
        The share, with ``best``, ``average`` and ``real`` (residuals), ``geometries`` (exponential of the entropy of
        the nearest geometry, 1 to G: their effective number) and ``factors`` (per factor of ``sizes``, the entropy of
        the nearest geometry's value over that of equally frequent values, 0 to 1).

    Raises:
        ValueError: residuals of different geometries, or ``sizes`` that do not multiply to their number.
    """
    count = samples.shape[1]
    sizes = (count,) if sizes is None else sizes
    if reals.shape[1] != count or math.prod(sizes) != count:
        raise ValueError(f"coverage: samples have {count} geometries, reals {reals.shape[1]}, sizes {sizes}")
    nearest, index = samples.double().min(dim=1)
    best, average, real = float(nearest.mean()), float(samples.double().mean()), float(reals.double().amin(1).mean())
    frequency = torch.bincount(index, minlength=count).double() / len(index)
    grid = frequency.view(sizes)
    factors = []
    for position, size in enumerate(sizes):
        others = [axis for axis in range(len(sizes)) if axis != position]
        marginal = grid.sum(dim=others) if others else grid
        factors.append(_entropy(marginal) / math.log(size) if size > 1 else 1.0)
    return Score(
        (average - best) / max(average - real, 1e-12),
        best=best,
        average=average,
        real=real,
        geometries=math.exp(_entropy(frequency)),
        factors=factors,
    )


def _entropy(frequency: Tensor) -> float:
    return float(-torch.special.xlogy(frequency, frequency).sum())
