"""Is a large array on a disk still what was written? CRC-32 of consecutive pieces, and when they were last found right.

A memory map reads what the disk gives, and a training notices nothing of a flipped bit. So an array is read through
before it is trusted: at every start if that takes about a second, and otherwise once a week and whenever its size or
time changed.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from data_modules.machine import available_cores

log = logging.getLogger(__name__)

ALWAYS_BYTES = 2**30  #: up to this size an array is checked at every start
VALID_S = 7 * 24 * 3600  #: how long a larger one that was found sound is trusted
_READ_BYTES = 2**24


def is_due(path: Path) -> bool:
    """Whether the array in ``path`` is to be read through before it is used."""
    try:
        status = path.stat()
        stamp = json.loads(_stamp_of(path).read_text())
        known = [status.st_size, status.st_mtime_ns] == [stamp["size"], stamp["mtime_ns"]]
        return status.st_size <= ALWAYS_BYTES or not known or not 0 <= time.time() - stamp["time"] < VALID_S
    except (OSError, ValueError, KeyError, TypeError):
        return True


def note_as_sound(path: Path) -> None:
    """Write beside the array when it was found, or made, sound; not being able to only costs another check."""
    status = path.stat()
    temporary = _stamp_of(path).with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_text(
            json.dumps({"size": status.st_size, "mtime_ns": status.st_mtime_ns, "time": int(time.time())})
        )
        temporary.replace(_stamp_of(path))
    except OSError as error:
        log.info("%s: cannot note that %s is sound (%s)", path.parent, path.name, error.strerror)


def damaged_pieces(path: Path, offset: int, piece_bytes: int, checksums: Sequence[int], progress: bool) -> list[int]:
    """Numbers of the pieces of a file whose CRC-32 is another one; reads everything, with all cores.

    Read, not mapped: a disk's error is a damaged piece here, and would end the process there.

    Args:
        path: the file.
        offset: of the first piece, in bytes.
        piece_bytes: length of each; the last one ends with the file.
        checksums: one per piece.
        progress: show a bar where there is much to read.
    """
    size = os.stat(path).st_size
    descriptor = os.open(path, os.O_RDONLY)

    def is_damaged(piece: int) -> bool:
        first, crc = offset + piece * piece_bytes, 0
        last = min(first + piece_bytes, size)
        try:
            for at in range(first, last, _READ_BYTES):
                crc = zlib.crc32(os.pread(descriptor, min(_READ_BYTES, last - at), at), crc)
        except OSError:
            return True
        return crc != checksums[piece]

    try:
        with ThreadPoolExecutor(available_cores()) as pool:
            quiet = not progress or size <= ALWAYS_BYTES
            found = pool.map(is_damaged, range(len(checksums)))
            bar = tqdm(found, total=len(checksums), desc=f"checking {path.parent.name}", unit=" pieces", disable=quiet)
            damaged = [piece for piece, bad in enumerate(bar) if bad]
    finally:
        os.close(descriptor)
    if not damaged:
        note_as_sound(path)
    return damaged


def _stamp_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sound")
