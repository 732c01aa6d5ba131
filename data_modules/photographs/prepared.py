"""A finished preparation (:mod:`prepare`): one array of images and what is known of each."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class PreparedImages:
    """What preparation leaves behind.

    Attributes:
        folder: holds ``images.npy`` and ``index.json``, and ``bad_images.txt`` if some were skipped.
        names: the source's names, one per row of the array.
        sizes: ``[rows, 2]`` int32, width and height of each upright image before the crop; 0, 0 for a skipped one.
        bad: names of skipped images, and why.
        fingerprint: hash of the prepared pixels.
    """

    folder: Path
    names: list[str]
    sizes: np.ndarray
    bad: dict[str, str]
    fingerprint: str

    def array(self) -> np.ndarray:
        """``[rows, 3, resolution, resolution]`` uint8, memory-mapped, read-only; a skipped image's row is black."""
        return np.load(self.folder / "images.npy", mmap_mode="r", allow_pickle=False)

    def rows(self) -> np.ndarray:
        """``[num_images]`` int64: the rows that hold an image, in order."""
        return np.flatnonzero(self.sizes[:, 0] > 0)


def load_prepared(folder: Path) -> PreparedImages:
    """Read the index of a finished preparation."""
    index = json.loads((folder / "index.json").read_text())
    sizes = np.array(index["sizes"], np.int32).reshape(-1, 2)
    return PreparedImages(folder, index["names"], sizes, index["bad"], index["fingerprint"])


def damaged_chunks(folder: Path) -> list[int]:
    """Chunks of a finished preparation whose pixels are not what was written (a failing disk); reads everything."""
    index = json.loads((folder / "index.json").read_text())
    array, chunk = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False), index["chunk"]
    return [i for i, crc in enumerate(index["checksums"]) if checksum(array[i * chunk : (i + 1) * chunk]) != crc]


def checksum(images: np.ndarray) -> int:
    """CRC-32 of images ``[count, ...]``."""
    crc = 0
    for image in images:  # one by one: memory stays flat
        crc = zlib.crc32(image.tobytes(), crc)
    return crc
