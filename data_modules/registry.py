"""Data modules by the name they have in ``data.name``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from data_modules.base import DataError, DeviceDataModule

#: name -> where its class is; imported when asked for, since some need libraries that others do not
DATA_MODULES = {
    "shapes3d": "data_modules.shapes3d:Shapes3DDataModule",
    "dsprites": "data_modules.dsprites:DSpritesDataModule",
}


def build_data(
    name: str,
    resolution: int,
    batch_size: int,
    seed: int = 0,
    mirror: bool = False,
    source: str = "auto",
    root: str | Path = "data",
) -> DeviceDataModule:
    """Build a data module by name, not set up yet; raises :class:`DataError` for an unknown name or setting."""
    if name not in DATA_MODULES:
        raise DataError(f"data.name={name}: must be one of {', '.join(DATA_MODULES)}")
    module, _, cls = DATA_MODULES[name].partition(":")
    settings: dict[str, Any] = {"resolution": resolution, "batch_size": batch_size, "seed": seed, "mirror": mirror}
    return getattr(import_module(module), cls)(**settings, source=source, root=root)  # type: ignore[no-any-return]
