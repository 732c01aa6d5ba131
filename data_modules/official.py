"""Published archives of synthetic images -> one uncompressed, memory-mapped array beside them, made once.

The published files are compressed: read at random, each image costs the decompression of many. They are checked, read
once from front to back, and written as ``NAME.images.npy``, ``[N, C, 64, 64]`` uint8, 0 to 255, with its checksums
beside it (:mod:`checksums`): what a disk damages is converted again. Nothing in them is executed: no pickles, and no
links out of an HDF5 file; and no memory is asked for that is not what the published file needs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data_modules.checksums import damaged_pieces, is_due, note_as_sound
from data_modules.errors import DataError, one_line
from data_modules.factors import FactorSpace
from data_modules.locking import exclusive
from data_modules.resampling import resize
from data_modules.residency import fits_on_accelerator

log = logging.getLogger(__name__)

SIDE = 64  #: of the published images
CHUNK = 4096  #: images read at a time: 50 MB of 3DShapes
READ_ERRORS = (OSError, EOFError, ValueError, KeyError, NotImplementedError, zlib.error, zipfile.BadZipFile)


@dataclass(frozen=True)
class Archive:
    """What a checked file holds.

    Attributes:
        classes: ``[N, num_factors]`` int64, each image's factor values, in the file's order.
        chunks: the images, ``[n, C, 64, 64]`` uint8 each, 0 to 255.
    """

    classes: np.ndarray
    chunks: Iterator[np.ndarray]


class Reader(Protocol):
    """Opens a published file; raises :class:`DataError` for a wrong one, or anything of ``READ_ERRORS``."""

    def __call__(self, path: Path, space: FactorSpace) -> Archive: ...


def open_official(path: Path, reader: Reader, space: FactorSpace, channels: int) -> np.ndarray:
    """The published images, memory-mapped; converts the file the first time, while other processes wait.

    Args:
        path: the published file.
        reader: of its format.
        space: the factors it must hold every combination of, last factor fastest.
        channels: of its images.

    Returns:
        ``[N, C, 64, 64]`` uint8, 0 to 255, read-only.

    Raises:
        DataError: the file is missing, damaged or another one than expected, or its folder cannot take the array.
    """
    if not path.is_file():
        raise DataError(f"data.root: no {path.name} in {path.parent}; download it there, or set data.source=rendered")
    converted = path.with_name(f"{path.name.split('.')[0]}.images.npy")
    shape = (space.num_images, channels, SIDE, SIDE)
    if (array := _current(converted, path, shape)) is not None:
        return array
    try:
        with exclusive(converted.with_suffix(".lock"), f"converting {path.name}"):
            if (array := _current(converted, path, shape)) is not None:
                return array
            _convert(path, reader, space, converted, shape)
    except OSError as error:
        raise DataError(
            f"{path.parent}: cannot be written ({error.strerror or error}), and {path.name} needs an uncompressed copy "
            f"beside it; put the file into a folder that can be and set data.root to it"
        ) from error
    return np.load(converted, mmap_mode="r", allow_pickle=False)


def _current(converted: Path, path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The converted array, if it is there, whole, sound, and not older than the file."""
    try:
        if converted.stat().st_mtime < path.stat().st_mtime:
            return None
        array = np.load(converted, mmap_mode="r", allow_pickle=False)
        index = json.loads(_index_of(converted).read_text())
        checksums, images = index["checksums"], index["images_per_checksum"]
        if array.shape != shape or array.dtype != np.uint8 or len(checksums) != -(-shape[0] // images):
            return None
        image_bytes = int(np.prod(shape[1:]))
        if is_due(converted) and damaged_pieces(converted, array.offset, images * image_bytes, checksums, True):
            log.warning("%s is not what was written, a failing disk? converting %s again", converted, path.name)
            return None
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None
    return array


def _index_of(converted: Path) -> Path:
    return converted.with_suffix(".json")


def _convert(path: Path, reader: Reader, space: FactorSpace, converted: Path, shape: tuple[int, ...]) -> None:
    try:
        archive = reader(path, space)
    except READ_ERRORS as error:
        raise damaged(path, error) from error
    check_factor_order(archive.classes, space, path)
    needed, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(f"{path.parent}: {needed / 1e9:.1f} GB needed for {converted.name}, {free / 1e9:.1f} GB free")
    partial = converted.with_suffix(".partial")  # one name: what a killed process left is overwritten
    checksums, images = [], 0
    try:
        with partial.open("wb") as file, tqdm(total=shape[0], desc=f"converting {path.name}", unit="img") as bar:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for chunk in _checked(archive.chunks, path):
                data = np.ascontiguousarray(chunk).data
                file.write(data)
                checksums.append(zlib.crc32(data))
                images = images or len(chunk)  # of the first, as of all but the last
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
        _index_of(converted).write_text(json.dumps({"images_per_checksum": images, "checksums": checksums}))
        partial.replace(converted)
        note_as_sound(converted)
    finally:
        partial.unlink(missing_ok=True)


def _checked(chunks: Iterator[np.ndarray], path: Path) -> Iterator[np.ndarray]:
    """Tells errors in reading from errors in writing, which both may be ``OSError``."""
    while True:
        try:
            chunk = next(chunks)
        except StopIteration:
            return
        except READ_ERRORS as error:
            raise damaged(path, error) from error
        yield chunk


def damaged(path: Path, error: BaseException) -> DataError:
    """One line for a file that cannot be read to its end."""
    return DataError(f"{path}: truncated or damaged ({one_line(error)}); download it again")


def expect(path: Path, what: str, array: Any, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> None:
    """Raise :class:`DataError` unless ``array`` has this shape and one of these kinds of dtype."""
    if tuple(array.shape) != shape:
        raise DataError(f"{path}: '{what}' has shape {tuple(array.shape)}, expected {shape}; is it the published file?")
    if array.dtype.name not in dtypes:
        raise DataError(f"{path}: '{what}' holds {array.dtype.name}, expected {dtypes[0]}; is it the published file?")


def check_factor_order(classes: np.ndarray, space: FactorSpace, path: Path) -> None:
    """Raise :class:`DataError` unless the images come in the order of the factor space's indices."""
    wanted = space.all().numpy()
    wrong = (classes != wanted).any(1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{path}: wrong factor order: image {row} has {', '.join(space.names)} = {classes[row].tolist()}, "
            f"expected {wanted[row].tolist()}; is it the published file?"
        )


def fingerprint(array: np.ndarray) -> str:
    """Short hash of an array's shape and of 256 of its images, evenly spread."""
    digest = hashlib.blake2b(repr(array.shape).encode(), digest_size=8)
    for index in np.linspace(0, len(array) - 1, 256).astype(int):
        digest.update(np.ascontiguousarray(array[index]).data)
    return digest.hexdigest()


class OfficialImages:
    """Images by index from the memory-mapped array, at any resolution, on the device.

    The whole array moves to an accelerator that has room for it (:mod:`residency`); elsewhere each batch is gathered
    from the map, and the operating system keeps in memory what it can.

    Args:
        array: ``[N, C, 64, 64]`` uint8.
        resolution: of the images handed out, a power of two. Smaller ones are box averages; larger ones repeat pixels,
            or are interpolated between them if ``smooth``.
        device: where they go.
        smooth: interpolate bilinearly when enlarging.
    """

    def __init__(self, array: np.ndarray, resolution: int, device: torch.device, smooth: bool) -> None:
        self.array, self.resolution, self.device, self.smooth = array, resolution, device, smooth
        self.resident: Tensor | None = None
        side = min(resolution, SIDE)
        if fits_on_accelerator(array.shape[0] * array.shape[1] * side * side, device):
            self.resident = torch.empty(*array.shape[:2], side, side, dtype=torch.uint8, device=device)
            for first in range(0, len(array), CHUNK):
                chunk = torch.from_numpy(array[first : first + CHUNK].copy()).to(device)
                self.resident[first : first + CHUNK] = resize(chunk, side)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Indices ``[B]`` int64 -> ``[B, C, resolution, resolution]`` uint8 on the device."""
        if self.resident is not None:
            images = self.resident[indices.to(self.device)]
        else:
            images = torch.from_numpy(np.asarray(self.array[indices.cpu().numpy()])).to(self.device)
        return resize(images, self.resolution, self.smooth)
