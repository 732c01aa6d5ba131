"""Data modules by the name they have in ``data.name``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from data_modules.base import DeviceDataModule
from data_modules.errors import DataError

#: name -> where its class is; imported when asked for, since some need libraries that others do not
SYNTHETIC = {
    "shapes3d": "data_modules.shapes3d:Shapes3DDataModule",
    "dsprites": "data_modules.dsprites:DSpritesDataModule",
}
PHOTOGRAPHS = {
    "celeba": "data_modules.celeba:CelebADataModule",
    "ffhq": "data_modules.ffhq:FFHQDataModule",
    "images": "data_modules.images:ImageFolderDataModule",
}
STREAMED = {"stream": "data_modules.streaming:StreamingDataModule"}
DATA_MODULES = SYNTHETIC | PHOTOGRAPHS | STREAMED


def build_data(
    name: str,
    resolution: int,
    batch_size: int,
    seed: int = 0,
    mirror: bool = False,
    source: str = "auto",
    root: str | Path = "data",
    cache: str | Path | None = None,
    max_bad: float = 0.001,
) -> DeviceDataModule:
    """Build a data module by name, not set up yet; ``cache`` and ``max_bad`` are for photographs only.

    Raises:
        DataError: unknown name, or a setting that this data set does not have.
    """
    settings: dict[str, Any] = {"resolution": resolution, "batch_size": batch_size, "seed": seed, "mirror": mirror}
    if name not in SYNTHETIC:
        settings |= {"cache": cache, "max_bad": max_bad}
    return _data_module(name)(**settings, source=source, root=root)  # type: ignore[no-any-return]


def channels_of(name: str) -> int:
    """Channels of a data set's images; raises :class:`DataError` for an unknown name."""
    return _data_module(name).channels  # type: ignore[no-any-return]


def _data_module(name: str) -> Any:
    if name not in DATA_MODULES:
        raise DataError(f"data.name={name}: must be one of {', '.join(DATA_MODULES)}")
    module, _, cls = DATA_MODULES[name].partition(":")
    return getattr(import_module(module), cls)
