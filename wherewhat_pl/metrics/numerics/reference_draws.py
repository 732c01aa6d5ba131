"""Drawing and encoding images for the metrics that sample them: the reference's random stream, without its cost.

The FactorVAE and beta-VAE scores look at a million images. The reference draws them factor by factor and encodes every
draw. Here the same numbers come in bulk, and no image of the factor grid is encoded twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from wherewhat_pl.metrics.inputs import FactorGrid, as_array

Indices = NDArray[np.int64]
Encode = Callable[[Any], Any]
Takes = Literal["auto", "factors", "indices"]

_CHUNK_POINTS = 256  # drawn at a time: some megabytes


@lru_cache(maxsize=4)
def draw_points(
    factors: FactorGrid, points: int, batch: int, seed: int, pairs: bool = False, singles: int = 0
) -> tuple[Indices, Indices, Indices]:
    """Images that share the value of one random factor, from the reference's stream of random numbers.

    ``RandomState.randint`` takes the same words for an array of bounds as for these bounds one after another, so this
    is the reference's loop over points, batches and factors in about half of its time. The result is kept, since one
    evaluation after the other asks for the same.

    Args:
        factors: the grid.
        points: number of points.
        batch: images, or pairs of images, per point.
        seed: of the ``RandomState``.
        pairs: whether the images of each pair share the factor's value, or all images of a point.
        singles: images to draw before, which share nothing.

    Returns:
        Indices of the single images ``[singles]``, the shared factor of each point ``[points]`` and the indices of its
        images ``[points, 1, batch]``, or ``[points, 2, batch]`` for pairs.
    """
    random, copies = np.random.RandomState(seed), 2 if pairs else 1
    bases = np.cumprod([1, *factors.sizes[:0:-1]])[::-1]  # how far an index moves when a factor moves by one
    alone = np.stack([random.randint(size, size=singles) for size in factors.sizes], axis=1) @ bases
    bounds = np.array([len(factors.sizes), *np.tile(np.repeat(factors.sizes, batch), copies)])
    shared, indices = np.empty(points, np.int64), np.empty((points, copies, batch), np.int64)
    for start in range(0, points, _CHUNK_POINTS):
        part = slice(start, min(start + _CHUNK_POINTS, points))
        drawn = random.randint(np.broadcast_to(bounds, (part.stop - start, len(bounds))))
        values = drawn[:, 1:].reshape(len(drawn), copies, len(factors.sizes), batch)
        own = np.arange(len(drawn)), slice(None), drawn[:, 0]
        values[own] = values[own][:, :1] if pairs else values[own][:, :, :1]
        shared[part], indices[part] = drawn[:, 0], np.einsum("pcfb,f->pcb", values, bases)
    return alone, shared, indices


def encode_images(
    encode: Encode | Tensor | ArrayLike,
    factors: FactorGrid,
    indices: list[Indices],
    batch: int = 1024,
    takes: Takes = "auto",
) -> tuple[NDArray[np.floating], list[Indices]]:
    """Codes of the images at some indices, each distinct image encoded once.

    Args:
        encode: a table of the whole grid's codes ``[num_images, n]``, or a deterministic function from a batch to codes
            ``[B, n]``.
        factors: the grid.
        indices: arrays of any shape of image indices.
        batch: images per call of ``encode``.
        takes: what the function takes: ``factors`` int64 ``[B, f]``, ``indices`` int64 ``[B]`` (torch tensors on the
            CPU), or ``auto``: factors if a trial with two images gives ``[2, n]``, otherwise indices.

    Returns:
        codes ``[rows, n]`` and, for each array in ``indices``, the row of each image.

    Raises:
        ValueError: a table of another length, or codes of another shape.
    """
    if not callable(encode):
        table, images = as_array(encode), math.prod(factors.sizes)
        if table.ndim != 2 or len(table) != images:
            raise ValueError(f"encode: a table needs shape [{images}, codes], got {list(table.shape)}")
        return table, indices
    flat = np.concatenate([array.ravel() for array in indices])
    wanted, inverse = np.unique(flat, return_inverse=True)
    cuts = np.cumsum([array.size for array in indices])[:-1]
    rows = [part.reshape(array.shape) for part, array in zip(np.split(inverse, cuts), indices, strict=True)]
    takes = _what_it_takes(encode, factors, wanted) if takes == "auto" else takes
    parts = [_call(encode, factors, wanted[k : k + batch], takes) for k in range(0, len(wanted), batch)]
    return np.concatenate(parts), rows


def encode_grid(encode: Encode, factors: FactorGrid, batch: int = 1024, takes: Takes = "auto") -> NDArray[np.floating]:
    """Codes of every image ``[num_images, n]``: a table that every metric here takes in the place of ``encode``."""
    return encode_images(encode, factors, [np.arange(math.prod(factors.sizes))], batch, takes)[0]


def _call(encode: Encode, factors: FactorGrid, indices: Indices, takes: Takes) -> NDArray[np.floating]:
    given = torch.from_numpy(np.ascontiguousarray(indices))
    with torch.no_grad():
        values = torch.stack(torch.unravel_index(given, factors.sizes), dim=-1) if takes == "factors" else given
        codes = as_array(encode(values))
    if codes.ndim != 2 or len(codes) != len(indices):
        raise ValueError(f"encode: expected codes [{len(indices)}, n] for {takes}, got shape {list(codes.shape)}")
    return codes


def _what_it_takes(encode: Encode, factors: FactorGrid, wanted: Indices) -> Takes:
    trial = wanted[[0, -1]]
    try:
        _call(encode, factors, trial, "factors")
    except Exception as with_factors:  # any error may just mean that it wants indices
        try:
            _call(encode, factors, trial, "indices")
        except Exception:
            raise with_factors from None
        return "indices"
    return "factors"
