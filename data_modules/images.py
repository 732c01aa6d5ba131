"""Photographs as a LightningDataModule: prepared once into an array (:mod:`prepare`), then read at memory speed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from data_modules.base import BatchStream, DeviceDataModule
from data_modules.errors import DataError, MissingDataError
from data_modules.photographs.decoding import CENTER_CROP, Crop
from data_modules.photographs.generated_faces import NOTE, Layout, cached_generated_faces
from data_modules.photographs.prepare import prepare
from data_modules.photographs.prepared import PreparedImages
from data_modules.photographs.sources import ImageSource, open_source
from data_modules.prefetch import PrefetchedStream
from data_modules.residency import fits_on_accelerator
from data_modules.verification import Finding

log = logging.getLogger(__name__)

DEFAULT_CACHE = "data/prepared"
GENERATED_IMAGES = 2000  # faces that ``source: generated`` draws


class ImageDataModule(DeviceDataModule):
    """Images from a source, cropped, resized and kept as one uint8 array.

    On an accelerator whose memory has room the whole array goes there, and a batch costs one gather. Otherwise batches
    are gathered from the memory map, on an accelerator by background threads through pinned memory. The batches are
    the same either way.

    Subclasses implement :meth:`find_source`; they may set the attributes below.

    Args:
        resolution: side of the square images in pixels, a power of two.
        batch_size: total batch size over all ranks.
        seed: of the sampling.
        mirror: flip each training image horizontally with probability one half.
        root: where the images are; ``None``: ``default_root``.
        cache: folder for prepared arrays; ``None``: ``data/prepared`` under the working directory.
        max_bad: share of images that may be unreadable; they are skipped and listed.
        source: ``"files"``: what lies in ``root``; ``"official"``: that, if it is the whole published set;
            ``"generated"``: drawn faces instead, for trying things out; ``"auto"``: what lies in ``root``, drawn faces
            if nothing does. What it became is logged and kept in the attribute.

    Raises:
        DataError: an impossible setting, or a resolution above what the set has.
    """

    channels = 3
    sources: tuple[str, ...] = ("auto", "files", "official", "generated")
    crop: Crop = CENTER_CROP
    layout: Layout = "images"  #: in which generated faces are written
    default_root = "data/images"
    largest_resolution: int | None = None  #: pixels that the set's images have; None: no limit

    def __init__(
        self,
        resolution: int,
        batch_size: int,
        seed: int = 0,
        mirror: bool = True,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        max_bad: float = 0.001,
        source: str = "files",
    ) -> None:
        super().__init__(resolution, batch_size, seed, mirror)
        if self.largest_resolution is not None and resolution > self.largest_resolution:
            largest = self.largest_resolution
            raise DataError(
                f"data.resolution={resolution}: {self.name} is cut from {largest} pixels; use {largest} or less"
            )
        if not 0 <= max_bad <= 1:
            raise DataError(f"data.max_bad={max_bad}: must be a share between 0 and 1")
        self.root, self.cache = Path(root or self.default_root).expanduser(), Path(cache or DEFAULT_CACHE).expanduser()
        self.max_bad, self.wanted_source = max_bad, self.require_source(source)
        self.prepared: PreparedImages | None = None  #: known after ``setup``
        self._memory_map: np.ndarray = np.empty((0,), np.uint8)
        self._rows: np.ndarray | None = None  # of the array, by image index; None: all of them
        self._on_device: Tensor | None = None

    def find_source(self) -> ImageSource:
        """Find the images under ``root``; raises :class:`DataError` that says what to get and where to put it."""
        raise NotImplementedError

    def check_source(self, source: ImageSource) -> None:
        """Raise :class:`DataError` if what belongs to the images does not fit them, before anything is prepared."""

    def describe_source(self, source: ImageSource) -> str:
        """What to call photographs in logs, configs and reports (``self.source``)."""
        return source.kind

    @property
    def names(self) -> list[str]:
        """Name of each image in the source, by index; known after ``setup``."""
        assert self.prepared is not None, "names are known after setup"
        return [self.prepared.names[row] for row in self.prepared.rows()]

    def setup(self, stage: str | None = None) -> None:
        """Prepare the images if that was not done before, and load them.

        In every rank: one prepares, the others wait for its file lock, which needs no collective and never times out.
        """
        super().setup(stage)
        if self.prepared is None:
            found = self._look_in_root()
            if found is None:
                why = "as asked" if self.wanted_source == "generated" else f"there are none in {self.root}"
                rank_zero_info(f"data: {self.name} is {GENERATED_IMAGES:,} drawn faces, not photographs ({why})")
                self.root = cached_generated_faces(self.cache, GENERATED_IMAGES, self.resolution, 0, self.layout)
            source = found or self.find_source()
            self.check_source(source)
            self.source = self._name_of(source)
            if left_out := source.left_out_in_words():
                rank_zero_info(f"data: {source.path}: {len(source):,} images; {left_out}")
            self.prepared = prepare(source, self.cache, self.name, self.resolution, self.crop, self.max_bad)
            self.fingerprint = self.prepared.fingerprint
            rows = self.prepared.rows()
            self.num_images = len(rows)
            if not self.num_images:
                raise DataError(f"data.root: none of the {len(source)} images in {source.path} can be used")
            self._rows = rows if len(rows) < len(source) else None
            self._memory_map = self.prepared.array()
            self._log_summary()
        if self._on_device is None and fits_on_accelerator(self.num_images * self._image_bytes, self.device):
            self._on_device = self._load_to_device()

    def preview(self) -> tuple[str, int]:
        source = self._look_in_root()
        if source is None:
            return "generated", GENERATED_IMAGES
        self.check_source(source)
        return self._name_of(source), len(source)

    def verify(self) -> list[Finding]:
        source = self.find_source()
        details = [f"{len(source):,} images; there is no published set to compare with", source.left_out_in_words()]
        return [Finding(str(source.path), None, detail) for detail in details if detail]

    def _look_in_root(self) -> ImageSource | None:
        """What lies in ``root``; ``None`` if faces are to be drawn instead."""
        if self.wanted_source == "generated":
            return None
        try:
            source = self.find_source()
        except MissingDataError:
            if self.wanted_source == "auto":
                return None
            raise
        if self.wanted_source == "official" and not self._name_of(source).startswith("official"):
            raise DataError(f"data.source=official: {self.root} holds {len(source)} images, not the published set")
        return source

    def _name_of(self, source: ImageSource) -> str:
        generated = any((folder / NOTE).exists() for folder in (source.path, *source.path.parents[:2]))
        return "generated" if generated else self.describe_source(source)

    def images(self, indices: Tensor) -> Tensor:
        if self._on_device is not None:
            return self._on_device[indices.to(self.device)]
        rows = indices.cpu().numpy()
        if self._rows is not None:
            rows = self._rows[rows]
        elif rows.size and (rows.min() < 0 or rows.max() >= self.num_images):  # "clip" below would take another image
            raise IndexError(f"image {rows.min()} or {rows.max()} is outside 0..{self.num_images - 1}")
        shape, pin = (len(rows), *self._memory_map.shape[1:]), self.device.type == "cuda"
        batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pin)
        np.take(self._memory_map, rows, axis=0, out=batch.numpy(), mode="clip")  # "raise" would copy through a buffer
        return batch.to(self.device, non_blocking=True)

    def train_dataloader(self) -> BatchStream:
        if self.device.type == "cpu" or self._on_device is not None:
            return super().train_dataloader()
        return PrefetchedStream(self.training_batch, self.clock, self.batch_size, self.device)

    def _log_summary(self) -> None:
        assert self.prepared is not None
        log.info("%s: %d images, source %s, %s", self.name, self.num_images, self.source, self.prepared.folder)
        enlarged = int((self.prepared.sizes[self.prepared.rows()].min(1) < self.resolution).sum())
        if enlarged:
            log.warning("%d images are smaller than data.resolution=%d and were enlarged", enlarged, self.resolution)

    @property
    def _image_bytes(self) -> int:
        return int(np.prod(self._memory_map.shape[1:]))

    def _load_to_device(self) -> Tensor:
        slice_size = 1 + 2**26 // self._image_bytes
        shape = (self.num_images, *self._memory_map.shape[1:])
        array = torch.empty(shape, dtype=torch.uint8, device=self.device)
        for start in range(0, self.num_images, slice_size):  # in slices: host memory stays flat
            stop = min(start + slice_size, self.num_images)
            array[start:stop] = self.images(torch.arange(start, stop))
        return array


class ImageFolderDataModule(ImageDataModule):
    """Anybody's images, the largest square in their centre: a folder, a zip archive, or a parquet file or folder."""

    name = "images"
    sources = ("auto", "files", "generated")  # nobody published them

    def find_source(self) -> ImageSource:
        return open_source(self.root)
