"""How a run writes and reads: files that are the old or the new one, and rows of JSON that survive a torn line."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import secrets
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from data_modules.errors import one_line


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that it is either the old or the new one, whatever happens: temporary file, fsync, rename.

    Args:
        path: what will be replaced; its permissions are what the umask says.

    Yields:
        The temporary file's path, in the same folder, to be written in the block.

    Raises:
        OSError: naming the file, e.g. if the disk is full; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def forget_partial(path: Path) -> None:
    """Remove what was left by processes killed within :func:`replacing`; call while nobody else replaces that file.

    Args:
        path: what was to be replaced; its name may be a pattern.
    """
    for left in path.parent.glob(f".{path.name}.*partial"):
        left.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content by :func:`replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def csv_text(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, the columns' names first; None is written as nothing."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([head, *rows])
    return buffer.getvalue()


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries to one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def read_rows(path: Path, complain: Callable[[str], object] = lambda sentence: None) -> list[dict[str, Any]]:
    """All rows of a JSON lines file, oldest first; none if there is no file.

    A line that is no JSON object (cut short by a kill, not UTF-8, nested too deep) is skipped.

    Args:
        path: the file.
        complain: told, in a sentence, how many lines were skipped, if any.
    """
    if not path.is_file():
        return []
    rows, lines = [], path.read_bytes().splitlines()
    for line in lines:
        with suppress(ValueError, RecursionError):
            if isinstance(row := json.loads(line), dict):
                rows.append(row)
    if skipped := len(lines) - len(rows):
        complain(f"{path.name}: {skipped} of {len(lines)} lines are no rows and are passed over")
    return rows


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Append one row as one line, after a line break if the last writer was killed within its line.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    text = json.dumps(row, allow_nan=False) + "\n"
    with path.open("ab+", buffering=0) as file:  # one write: two processes' lines do not mix
        if end := file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = "\n" + text
        try:
            if file.write(text.encode()) != len(text.encode()):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(end)
            raise


class PatientRows:
    """Appends rows to a JSON lines file; one that a full disk refuses costs one warning and waits for the next.

    Attributes:
        missed: whether a row could not be written at its time.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.missed = path, False
        self._waiting: list[dict[str, Any]] = []

    def append(self, row: dict[str, Any]) -> None:
        """Append a row, after those that wait."""
        self._waiting.append(row)
        self.write()

    def write(self) -> None:
        """Write what waits, as far as that is possible."""
        try:
            while self._waiting:
                append_row(self.path, self._waiting[0])
                self._waiting.pop(0)
        except OSError as error:
            if not self.missed:
                warnings.warn(f"{self.path}: cannot be written ({one_line(error.strerror or error)}); training goes on")
            self.missed = True
