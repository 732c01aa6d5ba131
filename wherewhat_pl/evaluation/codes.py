"""Codes of a data set's images, each image drawn and encoded once however many metrics ask for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from data_modules.base import to_float
from data_modules.randomness import seed_for

GROUP = 4  #: samples that share one minibatch standard deviation in the recognizer

Draw = Callable[[Tensor], Tensor]  #: indices ``[B]`` -> images ``[B, C, H, W]`` uint8
Encode = Callable[[Tensor], Tensor]  #: images ``[B, C, H, W]`` in [-1, 1] -> codes ``[B, n]``
Progress = Callable[[int, int], None]  #: called with what is done and what there is to do


class CodeTable:
    """A table of codes that fills itself: called with image indices it encodes those it does not know yet.

    The recognizer appends the standard deviation within groups of four of its batch, so an image's code depends a
    little on its neighbours. In index order they would be images alike in all slow factors, which it never saw in
    training. So every image has three random companions, the same ones whatever is asked for first: a code is a
    function of the image and the seed.

    Args:
        draw: images by index.
        encode: images to codes.
        num_images: of the data set.
        num_codes: n.
        batch: images at a time.
        seed: of the choice of companions.
        progress: called with images encoded and images to encode.
    """

    def __init__(
        self,
        draw: Draw,
        encode: Encode,
        num_images: int,
        num_codes: int,
        batch: int = 1024,
        seed: int = 0,
        progress: Progress = lambda done, total: None,
    ) -> None:
        self.draw, self.encode, self.progress = draw, encode, progress
        self.groups_at_once = max(1, batch // GROUP)
        order = np.random.default_rng(seed_for(seed, "companions")).permutation(num_images)
        self._members = np.resize(order, (-(-num_images // GROUP), GROUP))
        self._group_of = np.empty(num_images, np.int64)
        self._group_of[order] = np.arange(num_images) // GROUP
        self._table = np.zeros((num_images, num_codes), np.float32)
        self._known = np.zeros(len(self._members), bool)

    def __call__(self, indices: Tensor | ArrayLike) -> NDArray[np.float32]:
        """Codes ``[B, n]`` of the images at ``indices`` ``[B]``, which may repeat."""
        wanted = np.asarray(indices, dtype=np.int64)
        needed = np.zeros(len(self._known), bool)
        needed[self._group_of[wanted]] = True
        missing = np.flatnonzero(needed & ~self._known)
        for start in range(0, len(missing), self.groups_at_once):
            groups = missing[start : start + self.groups_at_once]
            chosen = self._members[groups].T.ravel()  # sample i of a batch is in group i mod (B / 4)
            self._table[chosen] = encode_batch(self.draw, self.encode, chosen)
            self._known[groups] = True
            self.progress((start + len(groups)) * GROUP, len(missing) * GROUP)
        return self._table[wanted]


def encode_sample(
    draw: Draw, encode: Encode, indices: Tensor, batch: int = 1024, progress: Progress = lambda done, total: None
) -> NDArray[np.float32]:
    """Codes ``[N, n]`` of randomly chosen images ``[N]``, in their order: each other's companions, as in training."""
    batch = max(GROUP, batch // GROUP * GROUP)
    parts = []
    for start in range(0, len(indices), batch):
        chosen = indices[start : start + batch].cpu().numpy()
        filled = np.concatenate([chosen, np.resize(indices.cpu().numpy(), -len(chosen) % GROUP)])
        parts.append(encode_batch(draw, encode, filled)[: len(chosen)])
        progress(start + len(chosen), len(indices))
    return np.concatenate(parts)


def encode_batch(draw: Draw, encode: Encode, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Codes ``[B, n]`` of one batch, B a multiple of :data:`GROUP`."""
    return encode(to_float(draw(torch.from_numpy(indices)))).float().cpu().numpy()  # type: ignore[no-any-return]
