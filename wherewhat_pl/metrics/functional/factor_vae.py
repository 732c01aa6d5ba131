"""The FactorVAE score: does the code that varies least tell which factor was held fixed?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from wherewhat_pl.metrics.inputs import FactorGrid, Score, check_codes
from wherewhat_pl.metrics.numerics.reference_draws import Encode, Indices, Takes, draw_points, encode_images

FACTOR_VAE_PRESETS: dict[str, dict[str, Any]] = {
    "locatello": {"seed": 0, "batch": 64, "prune_std": 0.05},
    "paper": {"seed": 123, "batch": 60, "prune_std": 0.1},
}
"""Settings of Locatello et al. 2019 (the defaults) and of Zhu et al. 2021."""

_CHUNK_VOTES = 128  # codes of this many votes fit a processor's cache


def factor_vae_score(
    encode: Encode | Tensor | ArrayLike,
    factors: FactorGrid,
    *,
    train_votes: int = 10_000,
    test_votes: int = 5_000,
    batch: int = 64,
    variance_images: int = 10_000,
    prune_std: float = 0.05,
    seed: int = 0,
    encode_batch: int = 1024,
    takes: Takes = "auto",
) -> Score:
    """FactorVAE score (Kim and Mnih 2018), vote for vote as Locatello et al. 2019 draw it.

    A vote: fix a random factor in a batch of random images; the code with the smallest variance in the batch relative
    to its variance over all images votes for that factor. A majority classifier from code to factor is made of the
    training votes; the score is its accuracy on the test votes.

    Args:
        encode: codes of the whole grid ``[num_images, n]`` in index order, or a deterministic function to codes
            ``[B, n]`` (see ``takes``). No image is encoded twice.
        factors: the grid of factors.
        train_votes, test_votes: number of training and of test votes.
        batch: images per vote, at least 2.
        variance_images: images for the variances over all.
        prune_std: codes with a smaller standard deviation take no part; one that never varies takes no part even at 0,
            where the reference lets it win every vote.
        seed: of numpy's ``RandomState``.
        encode_batch: images per call of ``encode``.
        takes: what ``encode`` takes: ``factors`` ``[B, f]``, ``indices`` ``[B]``, or ``auto`` to find out.

    Returns:
        0 to 1 (about 1 / f for random codes; 0 if no code is active); a :class:`Score` with ``train_accuracy``,
        ``eval_accuracy``, ``variances [n]``, ``active [n]`` (bool), ``num_active``, ``train_votes`` and ``eval_votes``
        ``[f, n]``.

    Raises:
        ValueError: a table that does not fit the grid, fewer than two images for a variance, or no votes.
    """
    if min(batch, variance_images) < 2 or min(train_votes, test_votes) < 1:
        raise ValueError(
            f"factor_vae_score: batch={batch} and variance_images={variance_images} must be 2 or more, "
            f"train_votes={train_votes} and test_votes={test_votes} 1 or more"
        )
    overall, fixed, indices = draw_points(factors, train_votes + test_votes, batch, seed, singles=variance_images)
    table, (overall, indices) = encode_images(encode, factors, [overall, indices[:, 0]], encode_batch, takes)
    everywhere = check_codes(table[overall])
    broken = ~np.isfinite(table).all(axis=0)
    variances = everywhere.var(axis=0, ddof=1)
    constant = (everywhere == everywhere[0]).all(axis=0)
    active = (np.sqrt(variances) >= prune_std) & ~constant & ~broken
    train, test = np.zeros((2, len(factors.sizes), table.shape[1]), np.int64)
    if active.any():
        votes = _least_varying(table, indices, active, variances)
        for counts, part in ((train, slice(train_votes)), (test, slice(train_votes, None))):
            np.add.at(counts, (fixed[part], votes[part]), 1)
    factor_of = train.argmax(axis=0)
    codes = np.arange(table.shape[1])
    accuracies = [float(counts[factor_of, codes].sum() / max(1, counts.sum())) for counts in (train, test)]
    return Score(
        accuracies[1],
        train_accuracy=accuracies[0],
        eval_accuracy=accuracies[1],
        variances=variances,
        active=active,
        num_active=int(active.sum()),
        train_votes=train,
        eval_votes=test,
    )


def _least_varying(
    table: NDArray[np.floating], indices: Indices, active: NDArray[np.bool_], variances: NDArray[np.floating]
) -> Indices:
    """For each vote's images ``[votes, batch]`` the active code with the smallest relative variance: ``[votes]``."""
    positions = np.flatnonzero(active)
    codes = table if active.all() else np.ascontiguousarray(table[:, active])
    votes = np.empty(len(indices), np.int64)
    for start in range(0, len(indices), _CHUNK_VOTES):
        chosen = codes.take(indices[start : start + _CHUNK_VOTES].T, axis=0)  # [batch, votes, active]: long inner loops
        relative = chosen.var(axis=0, ddof=1) / variances[active]
        votes[start : start + _CHUNK_VOTES] = positions[relative.argmin(axis=1)]
    return votes
