"""dSprites (Matthey, Higgins, Hassabis and Lerchner 2017): 737,280 pictures of one white shape, from five factors."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from data_modules.errors import DataError
from data_modules.factors import FactorSpace
from data_modules.official import CHUNK, SIDE, Archive, expect
from data_modules.rendering import dsprites as rendering
from data_modules.synthetic import Geometry, SyntheticDataModule


class DSpritesDataModule(SyntheticDataModule):
    """dSprites: shape 3 (square, ellipse, heart), scale 6, orientation 40, x 32, y 32. The one colour is left out.

    At 64 px and above pictures are black and white (the official ones enlarged by repeating pixels), below grey: the
    box average of 64 px.
    """

    name = "dsprites"
    channels = 1
    factor_space = FactorSpace(("shape", "scale", "orientation", "x", "y"), (3, 6, 40, 32, 32))
    official_file = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    official_address = "github.com/google-deepmind/dsprites-dataset"

    def _read_official(self, path: Path, space: FactorSpace) -> Archive:
        return read_npz(path, space)

    def _prepare_rendering(self) -> str:
        self._sections = rendering.outline_sections().to(self.device)
        outlines = (rendering.SQUARE_HALF_WIDTH, rendering.ELLIPSE_HALF_AXES, rendering.HEART_SIN, rendering.HEART_COS)
        return f"{self.name} {self.resolution} {rendering.VERSION} {outlines}"

    def geometry(self) -> Geometry:
        """720 glyphs near the middle, each at four neighbouring places, since small pictures average over them."""
        middle = rendering.NUM_POSITIONS // 2
        sizes = (*self.factor_space.sizes[:3], 2, 2)
        factors = FactorSpace(("shape", "scale", "orientation", "x", "y"), sizes).to_factors(torch.arange(prod(sizes)))
        factors[:, 3:] += middle - 1
        sections = rendering.outline_sections().to(self.device)
        glyphs = rendering.draw(factors.to(self.device), sections, self.resolution).float() / 255
        return Geometry(glyphs, ("shape", "scale", "orientation", "column", "row"), sizes, placed=True)

    def _render(self, factors: Tensor) -> Tensor:
        return rendering.draw(factors, self._sections, self.resolution)


def read_npz(path: Path, space: FactorSpace) -> Archive:
    """The published archive: ``imgs`` ``[N, 64, 64]`` uint8 of 0 and 1, ``latents_classes`` ``[N, 6]`` int64.

    The other members are not touched: ``metadata`` is a pickle, which would run whatever code is in it.
    """
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: truncated, or not an npz archive; download it again")
    shape = (space.num_images, space.num_factors + 1)
    with zipfile.ZipFile(path) as archive, archive.open("latents_classes.npy") as stream:
        dtype = _read_header(path, stream, "latents_classes", shape, ("int64", "int32"))
        classes = np.frombuffer(_read(stream, "latents_classes", math.prod(shape) * dtype.itemsize), dtype)
    classes = classes.reshape(shape)
    if classes[:, 0].any():
        raise DataError(f"{path}: 'latents_classes' has more than one colour; is it the published file?")
    return Archive(classes[:, 1:].astype(np.int64), _npz_chunks(path, space))


def _npz_chunks(path: Path, space: FactorSpace) -> Iterator[np.ndarray]:
    """The member ``imgs`` read from front to back, so that its 3 GB are never in memory."""
    with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as stream:
        _read_header(path, stream, "imgs", (space.num_images, SIDE, SIDE), ("uint8",))
        for first in range(0, space.num_images, CHUNK):
            count = min(CHUNK, space.num_images - first)
            data = _read(stream, "imgs", count * SIDE * SIDE)
            chunk = np.frombuffer(data, np.uint8).reshape(count, 1, SIDE, SIDE)
            if chunk.max() > 1:
                raise DataError(f"{path}: 'imgs' has values other than 0 and 1; is it the published file?")
            yield chunk * np.uint8(255)


def _read_header(
    path: Path, stream: IO[bytes], name: str, shape: tuple[int, ...], dtypes: tuple[str, ...]
) -> np.dtype[Any]:
    """Checks what a member claims to be before memory is asked for it; its dtype."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    claimed, fortran_order, dtype = read(stream)
    expect(path, name, SimpleNamespace(shape=claimed, dtype=dtype), shape, dtypes)
    if fortran_order:
        raise DataError(f"{path}: '{name}' is in Fortran order; is it the published file?")
    return dtype


def _read(stream: IO[bytes], name: str, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError(f"'{name}' ends early")
    return data
