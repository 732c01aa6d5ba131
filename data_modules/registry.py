"""Data modules by the name they have in ``data.name``."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path

from data_modules.base import DeviceDataModule
from data_modules.errors import DataError, one_line

#: name -> where its class is; imported when asked for, since some need libraries that others do not
DATA_MODULES = {
    "shapes3d": "data_modules.shapes3d:Shapes3DDataModule",
    "dsprites": "data_modules.dsprites:DSpritesDataModule",
    "celeba": "data_modules.celeba:CelebADataModule",
    "ffhq": "data_modules.ffhq:FFHQDataModule",
    "images": "data_modules.images:ImageFolderDataModule",
    "stream": "data_modules.streaming:StreamingDataModule",
}


def data_module(name: str) -> type[DeviceDataModule]:
    """The class behind ``data.name``: one of :data:`DATA_MODULES`, or anybody's own as ``module:Class``.

    Raises:
        DataError: there is no such class.
    """
    module, _, cls = DATA_MODULES.get(name, name).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), cls)):
        raise DataError(
            f"data.name={one_line(name, 60)}: must be one of {', '.join(DATA_MODULES)}, "
            "or a class of your own as module:Class"
        )
    try:
        found = getattr(import_module(module), cls)
    except (ImportError, AttributeError) as error:
        raise DataError(f"data.name={name}: cannot be imported ({error})") from error
    if not (isinstance(found, type) and issubclass(found, DeviceDataModule)):
        raise DataError(f"data.name={name}: is no subclass of data_modules.base.DeviceDataModule")
    return found


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
    """Build a data module by name, not set up yet; the last four settings go to the classes that take them.

    Raises:
        DataError: unknown name, a source that this data set does not have, or an impossible setting.
    """
    cls = data_module(name)
    cls.require_source(source)
    where = {"source": source, "root": root, "cache": cache, "max_bad": max_bad}
    taken = {key: value for key, value in where.items() if key in signature(cls).parameters}
    return cls(resolution=resolution, batch_size=batch_size, seed=seed, mirror=mirror, **taken)  # type: ignore[arg-type]
