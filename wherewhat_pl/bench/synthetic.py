"""What batches built on the device are worth, as ratios measured in one run on one machine: seconds do not compare."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_modules.factors import FactorSpace
from data_modules.shapes3d import Shapes3DDataModule
from wherewhat_pl.bench.timing import images_per_s

#: a part of the set that has the published file's structure: 3,840 images
SMALL_SPACE = FactorSpace(Shapes3DDataModule.factor_space.names, (2, 2, 2, 8, 4, 15))


class _SmallShapes3D(Shapes3DDataModule):
    factor_space = SMALL_SPACE


class H5Dataset(Dataset[Tensor]):
    """What one would write first: each image read from the file when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.images = h5py.File(path, "r")["images"]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.images[index]).permute(2, 0, 1).float() / 127.5 - 1


def benchmark_batches(
    batch_size: int = 64, seconds: float = 2.0, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Training batches of 3DShapes at 64 px against ``h5py``, ``__getitem__`` and the default collate, on 3,840 images.

    The baseline reads two generated files: one with the chunks that HDF5's Python library chooses for the published
    array, 4 x 4 pixels of one channel of many images (there of 15,000, here of all 3,840, which is kinder to it), and
    one with each image in a chunk of its own, the best there is for random access.

    Args:
        batch_size: of all.
        seconds: of measuring each.
        device: of the device-built batches.

    Returns:
        Images per second ``rendered``, ``memory_map`` (the official file, converted), ``h5_default_chunks`` and
        ``h5_image_chunks``; and the ratios ``rendered_over_h5`` and ``memory_map_over_h5`` (goal: 20, with the default
        chunks), ``rendered_over_h5_image_chunks`` and ``memory_map_over_h5_image_chunks``.
    """
    rendered = Shapes3DDataModule(64, batch_size, source="rendered")
    rendered.device = torch.device(device)
    rendered.setup()
    images = rendered.images_of(SMALL_SPACE.all()).permute(0, 2, 3, 1).cpu().numpy()
    result = {"rendered": images_per_s(_batches_of(rendered), seconds)}
    with tempfile.TemporaryDirectory() as folder:
        for name, chunks in {"default": (len(images), 4, 4, 1), "image": (1, 64, 64, 3)}.items():
            path = Path(folder) / name / Shapes3DDataModule.official_file
            path.parent.mkdir()
            with h5py.File(path, "w") as file:
                file.create_dataset("images", data=images, chunks=chunks, compression="gzip")
                file.create_dataset("labels", data=SMALL_SPACE.all().numpy().astype(np.float64))
            loader = DataLoader(H5Dataset(path), batch_size, shuffle=True, drop_last=True)
            batches = chain.from_iterable(repeat(loader))
            result[f"h5_{name}_chunks"] = images_per_s(lambda: next(batches), seconds, warm_up=1)  # noqa: B023
            loader.dataset.images.file.close()  # type: ignore[attr-defined]
        mapped = _SmallShapes3D(64, batch_size, source="official", root=Path(folder) / "image")
        mapped.device = rendered.device
        mapped.setup()
        result["memory_map"] = images_per_s(_batches_of(mapped), seconds)
    for ours in ("rendered", "memory_map"):
        result[f"{ours}_over_h5"] = result[ours] / result["h5_default_chunks"]
        result[f"{ours}_over_h5_image_chunks"] = result[ours] / result["h5_image_chunks"]
    return result


def _batches_of(data: Shapes3DDataModule) -> Callable[[], Tensor]:
    clock = iter(range(0, 2**62, data.batch_size))
    return lambda: data.training_batch(next(clock))
