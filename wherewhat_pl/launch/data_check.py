"""``make data``: is a data set there, is it what was published, and prepare it, so that training starts at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from data_modules.images import ImageDataModule
from data_modules.registry import data_module
from wherewhat_pl.run.build import data_for
from wherewhat_pl.settings import ExperimentConfig


def check_data(config: ExperimentConfig) -> int:
    """Verify what lies in ``data.root``, print a line per finding, and prepare it at ``data.resolution``.

    Args:
        config: an experiment on the data set; ``data.source`` is not looked at, since only files are.

    Returns:
        0, or 1 if something is not as published; nothing is prepared then.

    Raises:
        MissingDataError: nothing is there; says what to download and where to put it.
        DataError: what is there cannot be used.
    """
    sources = data_module(config.data.name).sources
    source: Any = next((source for source in ("files", "official") if source in sources), config.data.source)
    config = replace(config, data=replace(config.data, source=source))
    module = data_for(config)
    findings = module.verify()
    print(f"{module.name} in {config.data.root}:", *findings, sep="\n", flush=True)
    if any(finding.ok is False for finding in findings):
        hint = "files trains on what is there" if source == "files" else "rendered needs no file"
        print(f"not prepared, since it is not the published set (data.source={hint})")
        return 1
    module.setup()
    if isinstance(module, ImageDataModule):
        assert module.prepared is not None
        print(f"prepared: {module.num_images:,} images of {module.resolution} px in {module.prepared.folder}")
    return 0
