"""A finished preparation (:mod:`prepare`): one array of images and what is known of each."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.checksums import damaged_pieces
from data_modules.errors import DataError, one_line


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
    """Read the index of a finished preparation; raises :class:`DataError` if it is damaged."""
    index = read_index(folder)
    sizes = np.array(index["sizes"], np.int32).reshape(-1, 2)
    return PreparedImages(folder, index["names"], sizes, index["bad"], index["fingerprint"])


def read_index(folder: Path) -> dict[str, Any]:
    """What ``index.json`` says, checked as far as it is used; raises :class:`DataError` if it is damaged."""
    try:
        index = json.loads((folder / "index.json").read_text())
        rows, chunks = len(index["names"]), -(-len(index["names"]) // index["chunk"])
        if not (len(index["sizes"]) == rows and len(index["checksums"]) == chunks and index["resolution"] > 0):
            raise ValueError("its parts do not fit each other")
        return {"fingerprint": str(index["fingerprint"]), "bad": dict(index["bad"]), **index}
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise DataError(
            f"data.cache: {folder / 'index.json'} is damaged ({one_line(error)}); remove {folder}, it is made again"
        ) from error


def damaged_chunks(folder: Path, progress: bool = False) -> list[int]:
    """Chunks of a finished preparation whose pixels are not what was written; reads everything.

    If it finds none, that is noted for :func:`data_modules.checksums.is_due`.
    """
    index = read_index(folder)
    image_bytes = 3 * index["resolution"] ** 2
    size = len(index["names"]) * image_bytes
    path = folder / "images.npy"
    try:
        offset = path.stat().st_size - size
        if offset != _header_bytes(path, (len(index["names"]), 3, index["resolution"], index["resolution"])):
            return list(range(len(index["checksums"])))
        return damaged_pieces(path, offset, index["chunk"] * image_bytes, index["checksums"], progress)
    except OSError:
        return list(range(len(index["checksums"])))


def _header_bytes(path: Path, shape: tuple[int, ...]) -> int:
    """Length of the array's header; -1 if it is not that of uint8 images of this shape."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            found, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
            return file.tell() if (found, fortran_order, dtype) == (shape, False, np.uint8) else -1
    except (ValueError, EOFError):
        return -1


def checksum(images: np.ndarray) -> int:
    """CRC-32 of images ``[count, ...]``."""
    crc = 0
    for image in images:  # one by one: memory stays flat
        crc = zlib.crc32(image.tobytes(), crc)
    return crc
