"""Drawing and encoding images for the metrics that sample them: the reference's random stream, without its cost.

The FactorVAE and beta-VAE scores look at a million images. The reference draws them with ``RandomState.randint``, a
call per factor and batch, and encodes every draw. Here the same numbers come from the generator's raw words in bulk,
and no image of the factor grid is encoded twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from wherewhat_pl.metrics.inputs import FactorGrid, as_array

Indices = NDArray[np.int64]
Encode = Callable[[Any], Any]
Takes = Literal["auto", "factors", "indices"]

_CHUNK_WORDS = 200_000  # of raw random words at a time: what a processor's cache holds


def draw_factors(random: np.random.RandomState, factors: FactorGrid, count: int) -> Indices:
    """The reference's draw: uniform factor values ``[count, f]``, factor after factor."""
    return np.stack([random.randint(size, size=count) for size in factors.sizes], axis=1)


def draw_batches(
    random: np.random.RandomState, factors: FactorGrid, points: int, batch: int, copies: int = 1
) -> Iterator[tuple[Indices, Indices]]:
    """For each point a random factor, then ``copies`` batches of random factor values, in the reference's order.

    The same as this loop, from the same generator, in a fraction of its time::

        for _ in range(points):
            chosen = random.randint(factors.num_factors)
            for _ in range(copies):
                batch_factors = [random.randint(size, size=batch) for size in factors.sizes]

    numpy's frozen ``RandomState.randint(size)`` takes 32-bit words, masks each to the bits that size - 1 needs, and
    skips those that are too large; so one pass finds the accepted words, and only their positions are followed in a
    loop. (It takes more words from ``random`` than the loop would: nothing can be drawn after.)

    Yields:
        for some points at a time: chosen factor ``[p]`` and factor values ``[p, copies, f, batch]``.
    """
    sizes = [factors.num_factors, *(size for _ in range(copies) for size in factors.sizes)]
    lengths = [1, *([batch] * (copies * factors.num_factors))]
    expected = sum(length * (1 << (size - 1).bit_length()) / size for size, length in zip(sizes, lengths, strict=True))
    words = np.empty(0, np.uint32)
    done = 0
    while done < points:
        some = min(points - done, max(1, int(_CHUNK_WORDS / expected)))
        fresh = max(1, int(expected * some * 1.01) + 8 * batch - len(words))
        words = np.concatenate([words, random.randint(0, 2**32, size=fresh, dtype=np.uint32)])
        drawn, used = _follow(words, sizes, lengths, some)
        words = words[used:]
        done += len(drawn)
        if len(drawn):
            yield drawn[:, 0], drawn[:, 1:].reshape(len(drawn), copies, factors.num_factors, batch)


def _follow(words: NDArray[np.uint32], sizes: list[int], lengths: list[int], rows: int) -> tuple[Indices, int]:
    """Up to ``rows`` rows ``[r, sum(lengths)]`` of accepted words, as far as ``words`` reach, and their number."""
    narrow = words.astype(np.uint8) if max(sizes) <= 256 else words
    accepted, ranks_of, position = {}, {}, {}
    for size in set(sizes):
        masked = narrow & narrow.dtype.type((1 << (size - 1).bit_length()) - 1)
        if size & (size - 1) == 0:  # a power of two: every word is accepted, so ranks are positions
            accepted[size] = masked
            continue
        keep = masked < size
        places = np.flatnonzero(keep)
        accepted[size] = masked[places]
        # The loop below is the cost of it all. Memory views and lists give it Python integers, not numpy's scalars,
        # and the rank of a word (how many before it are accepted) is counted in blocks of 64: a running sum would
        # take longer.
        position[size] = places.data
        blocks = np.packbits(np.pad(keep, (0, -len(keep) % 64 + 64)), bitorder="little").view("<u8")
        before = np.cumsum(np.bitwise_count(blocks), dtype=np.int64) - np.bitwise_count(blocks)
        ranks_of[size] = before.tolist(), blocks.tolist()
    starts: list[list[int]] = [[] for _ in sizes]
    plan = [
        (own.append, *ranks_of.get(size, (None, None)), position.get(size), length)
        for own, size, length in zip(starts, sizes, lengths, strict=True)
        if size > 1
    ]
    at = finished = 0
    try:
        for _ in range(rows):
            here = at
            for append, before_block, bits, positions, length in plan:
                if before_block is None or bits is None or positions is None:
                    append(here)
                    here += length
                else:
                    block = here >> 6
                    first = before_block[block] + (bits[block] & ((1 << (here & 63)) - 1)).bit_count()
                    append(first)
                    here = positions[first + length - 1] + 1
            if here > len(words):
                break
            at = here
            finished += 1
    except IndexError:  # the last row wants more words than there are; it starts again with the next ones
        pass
    drawn = np.zeros((finished, sum(lengths)), np.int64)
    if not finished:
        return drawn, at
    column = 0
    for own, size, length in zip(starts, sizes, lengths, strict=True):
        if size > 1:
            drawn[:, column : column + length] = sliding_window_view(accepted[size], length)[own[:finished]]
        column += length
    return drawn, at


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
        takes: what the function takes: ``factors`` int64 ``[B, f]``, ``indices`` int64 ``[B]`` (both torch tensors,
        on the
            CPU), or ``auto``: factors if a trial with two images gives ``[2, n]``, otherwise indices.

    Returns:
        codes ``[rows, n]`` and, for each array in ``indices``, the row of each image.

    Raises:
        ValueError: a table of another length, or codes of another shape.
    """
    if not callable(encode):
        table = as_array(encode)
        if table.ndim != 2 or len(table) != factors.num_images:
            raise ValueError(f"encode: a table needs shape [{factors.num_images}, codes], got {list(table.shape)}")
        return table, indices
    flat = np.concatenate([array.ravel() for array in indices])
    if factors.num_images <= 50 * len(flat):
        needed = np.zeros(factors.num_images, bool)
        needed[flat] = True
        wanted = np.flatnonzero(needed)
        row_of = np.cumsum(needed) - 1
        rows = [row_of[array] for array in indices]
    else:  # a grid too large to tick off
        wanted, inverse = np.unique(flat, return_inverse=True)
        cuts = np.cumsum([array.size for array in indices])[:-1]
        rows = [part.reshape(array.shape) for part, array in zip(np.split(inverse, cuts), indices, strict=True)]
    takes = _what_it_takes(encode, factors, wanted) if takes == "auto" else takes
    parts = [_call(encode, factors, wanted[k : k + batch], takes) for k in range(0, len(wanted), batch)]
    return np.concatenate(parts), rows


def encode_grid(encode: Encode, factors: FactorGrid, batch: int = 1024, takes: Takes = "auto") -> NDArray[np.floating]:
    """Codes of every image ``[num_images, n]``: a table that every metric here takes in the place of ``encode``."""
    return encode_images(encode, factors, [np.arange(factors.num_images)], batch, takes)[0]


def _call(encode: Encode, factors: FactorGrid, indices: Indices, takes: Takes) -> NDArray[np.floating]:
    given = torch.from_numpy(np.ascontiguousarray(indices))
    with torch.no_grad():
        codes = as_array(encode(factors.to_factors(given) if takes == "factors" else given))
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
