"""Where a command on a trained model writes to, and that it writes over nothing unasked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from wherewhat_pl.errors import ConfigError, warn
from wherewhat_pl.interop.load import PRETRAINED, is_file


def output_folder(run: str, out: str | None, name: str) -> Path:
    """``out``, or ``name`` inside a run's folder, or ``MODEL_name`` beside a model's file; not made yet.

    Of a model that ships with the package it is in the working directory.
    """
    if out is not None:
        return Path(out)
    of_file, run = is_file(run), run.removeprefix(PRETRAINED)
    return Path(run).with_name(f"{Path(run).stem}_{name}") if of_file else Path(run) / name


def make_room(folder: Path, files: Sequence[Path], force: bool) -> None:
    """Make a folder, before anything takes long.

    Args:
        folder: with its parents.
        files: that will be written into it.
        force: whether they may be there.

    Raises:
        ConfigError: one of them is there, or the folder cannot be made or written to.
    """
    for file in files:
        if file.exists() and not force:
            raise ConfigError(f"{file}: is there already; force=true (make: FORCE=1) writes over it, out=... elsewhere")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".can_be_written"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"out={folder}: cannot be written to ({error.strerror})") from None


@contextmanager
def progress_bar(label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told what is done and what there is to do; what the block warns of is said in a line, and once."""
    with tqdm(desc=label, unit=unit, leave=False, dynamic_ncols=True) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield show
        for text in dict.fromkeys(str(each.message) for each in caught if each.category is UserWarning):
            warn(text)
