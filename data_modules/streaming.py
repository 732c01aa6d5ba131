"""Photographs that stay where they are, in chunks on a disk or in object storage, read one by one through litdata.

For sets too large to prepare. A batch is drawn as from a prepared array, a function of the seed, the rank and the
clock, so the position of a resumed run needs no state; threads read and decode ahead of the training.
"""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_modules.base import BatchStream, DeviceDataModule
from data_modules.errors import DataError, MissingDataError, one_line
from data_modules.photographs.decoding import CENTER_CROP, BadImage, decode
from data_modules.prefetch import PrefetchedStream
from data_modules.verification import Finding

READERS = 8  # threads that read and decode; more hide the latency of object storage
PROBES = 16  # images, evenly spread, whose bytes make the fingerprint
TRIES = 10  # neighbours that may stand in for an unreadable image


class StreamingDataModule(DeviceDataModule):
    """Encoded images from a litdata set, the largest square in their centre, resized when they are read.

    Each sample is an image file's bytes, as ``litdata.optimize`` writes what a function like ``Path.read_bytes``
    returns. (Bytes inside a dictionary will not do: of a remote set litdata 0.2.76 cannot fetch them one by one.) An
    unreadable image is replaced by the next readable one.

    Args:
        resolution: side of the square images in pixels, a power of two.
        batch_size: total batch size over all ranks.
        seed: of the sampling.
        mirror: flip each training image horizontally with probability one half.
        root: a local folder, or an address that litdata reads (``s3://``, ``gs://``...).
        cache: folder for what litdata keeps of a remote set.
        source: ``"auto"`` or ``"files"``: what lies in ``root``.

    Raises:
        DataError: unknown ``source``; in ``setup`` a missing or unusable set, or a missing library.
    """

    name = "stream"
    channels = 3
    sources = ("auto", "files")

    def __init__(
        self,
        resolution: int,
        batch_size: int,
        seed: int = 0,
        mirror: bool = True,
        root: str | Path = "data/stream",
        cache: str | Path | None = None,
        source: str = "files",
    ) -> None:
        super().__init__(resolution, batch_size, seed, mirror)
        self.require_source(source)
        self.root = str(root) if ":" in str(root) else str(Path(root).expanduser())  # an address, or a folder
        self.cache = None if cache is None else str(Path(cache).expanduser())
        self._of_thread = threading.local()  # a litdata set holds open files: one per thread
        self._pool: ThreadPoolExecutor | None = None

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        if self._pool is None:
            self.source, self.num_images = self.preview()
            digest = hashlib.blake2b(repr((self.num_images, self.resolution)).encode(), digest_size=8)
            for index in np.linspace(0, self.num_images - 1, PROBES).astype(int).tolist():
                digest.update(self._read(index))
            self.fingerprint = digest.hexdigest()
            self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="stream")

    def preview(self) -> tuple[str, int]:
        count = len(self._samples())
        if not count:
            raise DataError(f"data.root: the litdata set in {self.root} is empty")
        return "litdata", count

    def verify(self) -> list[Finding]:
        _, count = self.preview()
        return [Finding(self.root, None, f"{count:,} samples; there is no published set to compare with")]

    def images(self, indices: Tensor) -> Tensor:
        assert self._pool is not None, "images are there after setup"
        decoded = list(self._pool.map(self._decoded, indices.tolist()))
        return torch.from_numpy(np.stack(decoded)).to(self.device)

    def train_dataloader(self) -> BatchStream:
        return PrefetchedStream(self.training_batch, self.clock, self.batch_size, self.device)

    def _decoded(self, index: int) -> np.ndarray:
        reason = ""
        for offset in range(TRIES):
            try:
                return decode(self._read((index + offset) % self.num_images), CENTER_CROP, self.resolution)[0]
            except BadImage as error:
                reason = str(error)
        raise DataError(f"data.root: {TRIES} images from number {index} of {self.root} cannot be used ({reason})")

    def _read(self, index: int) -> bytes:
        try:
            sample = self._samples()[index]
        except DataError:
            raise
        except Exception as error:  # each storage library has errors of its own
            raise _unusable(f"sample {index} of {self.root} cannot be read", error) from error
        if not isinstance(sample, bytes | bytearray | memoryview):
            kind = type(sample).__name__
            raise DataError(f"data.root: samples of {self.root} are of type {kind}; an image file's bytes are needed")
        return bytes(sample)

    def _samples(self) -> Any:
        if not hasattr(self._of_thread, "samples"):
            self._of_thread.samples = _open(self.root, self.cache)
        return self._of_thread.samples


def _open(root: str, cache: str | None) -> Any:
    try:
        from litdata import StreamingDataset
        from litdata.streaming.serializers import PickleSerializer
    except ImportError as error:
        raise DataError("data.name=stream: needs litdata; pip install 'wherewhat-pl[streaming]'") from error

    class NoPickle(PickleSerializer):  # type: ignore[misc]
        """Unpickling would run whatever code is in the set."""

        def deserialize(self, data: bytes) -> Any:
            raise DataError(f"data.root: samples of {root} are pickled Python objects; do not trust them")

    if ":" not in root and not (Path(root) / "index.json").is_file():
        raise MissingDataError(f"data.root: no litdata set (index.json) in {root}; make one with litdata.optimize")
    try:
        return StreamingDataset(root, cache_dir=cache, serializers={"pickle": NoPickle()})
    except Exception as error:
        raise _unusable(f"{root} cannot be opened", error) from error


def _unusable(what: str, error: Exception) -> DataError:
    return DataError(f"data.root: {what} ({type(error).__name__}: {one_line(error)})")
