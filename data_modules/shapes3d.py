"""3DShapes (Burgess and Kim 2018): 480,000 pictures of a solid in a room, from six factors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from data_modules.errors import DataError
from data_modules.factors import FactorSpace
from data_modules.official import CHUNK, SIDE, Archive, expect
from data_modules.rendering import shapes3d as rendering
from data_modules.synthetic import Geometry, SyntheticDataModule

LARGEST_CHUNK = 2**28  # bytes; a chunk is decompressed as a whole


class Shapes3DDataModule(SyntheticDataModule):
    """3DShapes: floor hue 10, wall hue 10, object hue 10, scale 8, shape 4, orientation 15."""

    name = "shapes3d"
    channels = 3
    factor_space = FactorSpace(
        ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"), (10, 10, 10, 8, 4, 15)
    )
    official_file = "3dshapes.h5"
    official_address = "storage.googleapis.com/3d-shapes/3dshapes.h5 (github.com/google-deepmind/3d-shapes)"
    smooth = True

    def _read_official(self, path: Path, space: FactorSpace) -> Archive:
        return read_h5(path, space)

    def _prepare_rendering(self) -> str:
        maps = rendering.geometry_maps(self.resolution, self.device)
        self._maps = maps.flatten(0, 2).flatten(2)  # [480, 4, H * W]
        # Colours in 0..255, so that a picture costs one small matrix product and a rounding.
        self._hues = rendering.hue_colors().to(self.device) * 255
        self._sky = rendering.sky_color().to(self.device) * 255
        return f"{self.name} {self.resolution} {rendering.VERSION} {rendering.SCENE}"

    def geometry(self) -> Geometry:
        """480 geometries with the maps of sky, floor, wall and object."""
        maps = rendering.geometry_maps(self.resolution, self.device)
        return Geometry(maps.flatten(0, 2), ("scale", "shape", "orientation"), tuple(maps.shape[:3]))

    def _render(self, factors: Tensor) -> Tensor:
        geometry = (factors[:, 3] * 4 + factors[:, 4]) * 15 + factors[:, 5]
        sky = self._sky.expand(len(factors), 1, 3)
        colors = torch.cat([sky, self._hues[factors[:, :3]]], 1)  # [B, 4, 3]: sky, floor, wall, object
        with torch.autocast(self.device.type, enabled=False):  # half precision would shift colours by whole levels
            images = torch.bmm(colors.transpose(1, 2), self._maps[geometry])
        images = images.add_(0.5).clamp_(0, 255).to(torch.uint8)
        return images.view(-1, 3, self.resolution, self.resolution)


def read_h5(path: Path, space: FactorSpace) -> Archive:
    """The published file: ``images`` ``[N, 64, 64, 3]`` uint8, ``labels`` ``[N, 6]`` float64, the factors' values."""
    with h5py.File(path, "r") as file:
        for name in ("images", "labels"):
            link = file.get(name, getlink=True)  # looked at before it is followed: it may lead to any file, or a pipe
            if link is None:
                raise DataError(f"{path}: has no '{name}'; is it the published file?")
            data = file[name] if isinstance(link, h5py.HardLink) else None
            if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
                raise DataError(f"{path}: '{name}' points elsewhere; do not trust this file")
            if data.chunks and np.prod(data.chunks, dtype=float) * data.dtype.itemsize > LARGEST_CHUNK:
                raise DataError(f"{path}: '{name}' is stored in chunks of {data.chunks}; is it the published file?")
        expect(path, "images", file["images"], (space.num_images, SIDE, SIDE, 3), ("uint8",))
        expect(path, "labels", file["labels"], (space.num_images, space.num_factors), ("float64",))
        values = file["labels"][:]
    classes = np.empty(values.shape, np.int64)
    for i, (name, size) in enumerate(zip(space.names, space.sizes, strict=True)):
        distinct, classes[:, i] = np.unique(values[:, i], return_inverse=True)
        if len(distinct) != size:
            raise DataError(
                f"{path}: wrong factor order: column {i} of 'labels' has {len(distinct)} values, but {name} has {size}"
            )
    return Archive(classes, _h5_chunks(path))


def _h5_chunks(path: Path) -> Iterator[np.ndarray]:
    with h5py.File(path, "r") as file:
        images = file["images"]
        # Whole chunks of the file at a time, or each would be decompressed again and again.
        stored = images.chunks[0] if images.chunks else 1
        count = max(1, CHUNK // stored) * stored
        for first in range(0, len(images), count):
            yield images[first : first + count].transpose(0, 3, 1, 2)
