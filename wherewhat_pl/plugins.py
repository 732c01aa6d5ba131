"""A user's own files as part of the program: importing them is what registers the masks and metrics they define."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from wherewhat_pl.errors import ConfigError


def load_plugins(names: Sequence[str]) -> None:
    """Import modules by name, each once; those in the folder where the command is given are found, too.

    Args:
        names: as behind ``import``, e.g. ``["my_masks", "my_package.metrics"]``.

    Raises:
        ConfigError: there is no such module, or something that it imports is missing.
    """
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"plugins: '{name}' is no module's name; a file my_masks.py is given as my_masks")
        try:
            import_module(name)
        except ImportError as error:
            raise ConfigError(
                f"plugins: {name} cannot be imported ({error}); it must be installed, on the PYTHONPATH, or in the "
                "folder where the command is given"
            ) from error
