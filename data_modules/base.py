"""What every data module here offers the training: uniformly drawn batches, built whole on the device.

The only clock is ``images_seen``; a batch is a function of (seed, rank, images_seen), so a resumed run sees the very
images that an uninterrupted one would have seen, and nothing of the sampling has to be stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor

from data_modules.errors import DataError
from data_modules.factors import FactorSpace
from data_modules.randomness import generator_for
from data_modules.verification import Finding


class BatchStream:
    """Endless stream of training batches; it asks for the clock once, when iteration begins.

    Lightning fetches one batch ahead, so the stream counts on by itself instead of reading a clock that lags.
    """

    def __init__(self, batch_at: Callable[[int], Tensor], clock: Callable[[], int], batch_size: int) -> None:
        self.batch_at, self.clock, self.batch_size = batch_at, clock, batch_size

    def __iter__(self) -> Iterator[Tensor]:
        images_seen = self.clock()
        while True:
            yield self.batch_at(images_seen)
            images_seen += self.batch_size


class DeviceDataModule(pl.LightningDataModule):
    """Images by index, and training batches of them, on the trainer's device.

    Subclasses fill the attributes below in ``setup`` and implement :meth:`images`.

    Args:
        resolution: side of the square images in pixels, a power of two.
        batch_size: total batch size over all ranks.
        seed: of the sampling.
        mirror: flip each training image horizontally with probability one half.
    """

    name: str  #: as in ``data.name``, e.g. ``"shapes3d"``
    channels: int  #: 1 or 3
    num_images: int  #: known after ``setup``
    source: str  #: what the images come from: ``"official"``, ``"rendered"``, ``"folder"``...; known after ``setup``
    fingerprint: str  #: short hash that changes when the images do; known after ``setup``
    factor_space: FactorSpace | None = None  #: generative factors, where they are known
    sources: tuple[str, ...] = ("auto",)  #: what ``data.source`` may be

    def __init__(self, resolution: int, batch_size: int, seed: int = 0, mirror: bool = False) -> None:
        super().__init__()
        if resolution < 8 or resolution & (resolution - 1):
            raise DataError(f"data.resolution={resolution}: must be a power of two, at least 8")
        self.resolution, self.batch_size, self.seed, self.mirror = resolution, batch_size, seed, mirror
        self.clock: Callable[[], int] = lambda: 0  #: set by the owner of ``images_seen``
        self.device = torch.device("cpu")  #: where batches are built; the trainer's device once it is attached

    @property
    def provenance(self) -> dict[str, str]:
        """``name``, ``source`` and ``fingerprint``: what runs and results keep of the data. Known after ``setup``."""
        return {"name": self.name, "source": self.source, "fingerprint": self.fingerprint}

    @property
    def attribute_names(self) -> tuple[str, ...] | None:
        """Names of the binary labels of each image; ``None`` where there are none. Known after ``setup``."""
        return None

    @property
    def attributes(self) -> Tensor | None:
        """Binary labels ``[num_images, attributes]`` bool; ``None`` where there are none. Known after ``setup``."""
        return None

    def preview(self) -> tuple[str, int]:
        """Source and number of images as ``setup`` will find them; prepares, draws and writes nothing.

        Raises:
            DataError: there are no such images.
        """
        raise NotImplementedError

    def verify(self) -> list[Finding]:
        """Compare what is there with what was published, or at least see that it can be read.

        Raises:
            MissingDataError: nothing is there; says what to download and where to put it.
            DataError: what is there is damaged.
        """
        raise NotImplementedError

    @classmethod
    def require_source(cls, source: str) -> str:
        """Its argument, if this data set has such a source; raises :class:`DataError` naming those it has."""
        if source not in cls.sources:
            raise DataError(f"data.source={source}: must be one of {', '.join(cls.sources)} for data.name={cls.name}")
        return source

    def images(self, indices: Tensor) -> Tensor:
        """Images by index.

        Args:
            indices: ``[B]`` int64, each in ``0 .. num_images - 1``, on any device.

        Returns:
            ``[B, C, H, W]`` uint8 on ``self.device``.
        """
        raise NotImplementedError

    def training_batch(self, images_seen: int) -> Tensor:
        """This rank's batch at a time of the clock: ``[batch_size / world_size, C, H, W]`` float32 in [-1, 1]."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        generator = generator_for(self.device, self.seed, "reals", rank, images_seen)
        local_batch_size = self.batch_size // world_size
        indices = torch.randint(self.num_images, (local_batch_size,), generator=generator, device=self.device)
        images = to_float(self.images(indices))
        if self.mirror:
            flip = torch.rand(local_batch_size, 1, 1, 1, generator=generator, device=self.device) < 0.5
            images = torch.where(flip, images.flip(-1), images)
        return images

    def setup(self, stage: str | None = None) -> None:
        if self.trainer is not None:
            self.device = self.trainer.strategy.root_device

    def train_dataloader(self) -> BatchStream:
        return BatchStream(self.training_batch, self.clock, self.batch_size)


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)
