"""Images from their factors: the official file where there is one, the same pictures drawn where there is none."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from data_modules.base import DeviceDataModule
from data_modules.errors import MissingDataError
from data_modules.factors import FactorSpace
from data_modules.official import Archive, OfficialImages, fingerprint, open_official
from data_modules.verification import Finding


@dataclass(frozen=True)
class Geometry:
    """All shapes that a set's pictures can have, whatever their colours, or whatever their place.

    Attributes:
        maps: ``[G, K, H, W]`` float32: a picture of geometry g is a sum of its K maps times colours.
        names: of the factors that make up the geometries.
        sizes: numbers of their values, last factor fastest; their product is G.
        placed: whether a picture is a geometry's only map, moved to some place, rather than where it is.
    """

    maps: Tensor
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    placed: bool = False


class SyntheticDataModule(DeviceDataModule):
    """Every combination of a :class:`FactorSpace`, by index or by factors.

    Args:
        resolution: side of the square images in pixels, a power of two, at least 8.
        batch_size: total batch size over all ranks.
        seed: of the sampling.
        mirror: flip each training image horizontally with probability one half.
        source: ``"official"`` (the published file), ``"rendered"`` (drawn here), or ``"auto"``: official if the file
            is there, else rendered. Which one it became is logged and kept in the attribute ``source``.
        root: folder of the official file.

    Raises:
        DataError: unknown ``source``; in ``setup`` or ``preview`` a missing or bad official file.
    """

    factor_space: FactorSpace
    sources = ("auto", "official", "rendered")
    official_file: str  #: name of the published file
    official_address: str  #: where it can be downloaded
    smooth = False  #: interpolate, not repeat, pixels of official images that are enlarged

    def __init__(
        self,
        resolution: int,
        batch_size: int,
        seed: int = 0,
        mirror: bool = False,
        source: str = "auto",
        root: str | Path = "data",
    ) -> None:
        super().__init__(resolution, batch_size, seed, mirror)
        self.wanted_source, self.root = self.require_source(source), Path(root).expanduser()
        self._ready_on: torch.device | None = None

    def setup(self, stage: str | None = None) -> None:
        """Open or draw the images on ``self.device``; a second call on the same device does nothing."""
        super().setup(stage)
        if self._ready_on == self.device:
            return
        self.source, self.num_images = self.preview()
        if self.source == "official":
            array = self._open_official()
            self.fingerprint = fingerprint(array)
            self._published = OfficialImages(array, self.resolution, self.device, self.smooth)
        else:
            why = f"no {self.official_file} in {self.root}" if self.wanted_source == "auto" else "as asked"
            rank_zero_info(f"data: {self.name} is rendered at {self.resolution} px, not the official file ({why})")
            self.fingerprint = hashlib.blake2b(self._prepare_rendering().encode(), digest_size=8).hexdigest()
        self._ready_on = self.device

    def preview(self) -> tuple[str, int]:
        path = self.root / self.official_file
        found = "official" if path.exists() else "rendered"
        source = found if self.wanted_source == "auto" else self.wanted_source
        if source == "official" and not path.is_file():
            raise MissingDataError(
                f"data.root: no {path.name} in {path.parent}; download it there from {self.official_address}, "
                "or set data.source=rendered"
            )
        return source, self.factor_space.num_images

    def verify(self) -> list[Finding]:
        """Opens the published file, which checks that it holds every combination of the factors, in their order."""
        self.wanted_source = "official"
        self.preview()
        array = self._open_official()
        return [Finding(self.official_file, True, f"{len(array):,} images, every combination of the factors in order")]

    def _open_official(self) -> np.ndarray:
        path = self.root / self.official_file
        return open_official(path, self._read_official, self.factor_space, self.channels)

    @abstractmethod
    def _read_official(self, path: Path, space: FactorSpace) -> Archive:
        """Open and check the published file."""

    @abstractmethod
    def _prepare_rendering(self) -> str:
        """Draw what all images share and return a text that changes when the pictures do."""

    @abstractmethod
    def _render(self, factors: Tensor) -> Tensor:
        """Factors ``[B, num_factors]`` on the device -> ``[B, C, H, W]`` uint8."""

    @abstractmethod
    def geometry(self) -> Geometry:
        """All shapes of the set, as they are drawn here at ``self.resolution``, on ``self.device``."""

    def images(self, indices: Tensor) -> Tensor:
        if self.source == "official":
            return self._published[indices]
        return self._render(self.factor_space.to_factors(indices.to(self.device)))

    def images_of(self, factors: Tensor) -> Tensor:
        """Images by factor values: ``[..., num_factors]`` int64 -> ``[..., C, H, W]`` uint8 on ``self.device``."""
        images = self.images(self.factor_space.to_index(factors).flatten())
        return images.reshape(*factors.shape[:-1], *images.shape[1:])
