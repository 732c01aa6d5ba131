"""Checkpoints that can be trusted: sealed with a hash of their content, verified before anything in them is used.

torch's reader checks no checksum: a flipped bit in a weight would load. A checkpoint is a zip archive; its seal is the
archive's comment, the hash of every byte before it, so it cannot be parted from its file. Checkpoints from before
there were seals are verified by the archive's own checksums.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_modules.errors import one_line
from wherewhat_pl.errors import CheckpointError

SEAL = re.compile(rb"blake2b:([0-9a-f]{64})")
SEAL_LENGTH = len("blake2b:") + 64


def seal(path: Path) -> None:
    """Append the seal to a checkpoint that was just written, and bring it to the disk."""
    with path.open("rb+") as file:
        file.seek(-2, os.SEEK_END)  # the comment's length, the last field of an archive without one
        file.write(SEAL_LENGTH.to_bytes(2, "little"))
        file.seek(0)
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
        file.seek(0, os.SEEK_END)
        file.write(f"blake2b:{digest}".encode())
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Verify a checkpoint and read it as data only (``weights_only=True``).

    Returns:
        At least ``images_seen`` (int), ``config`` (nested plain values) and ``state_dict`` (tensors by name).

    Raises:
        CheckpointError: it is not there, damaged, or no checkpoint of a run; one sentence that names the file.
    """
    return load_sealed(path, device, _check_content)  # type: ignore[no-any-return]


def load_sealed(path: Path, device: str = "cpu", check: Callable[[Any], None] = lambda content: None) -> Any:
    """Verify what :func:`seal` sealed, read it as data only, and have its content checked.

    Raises:
        CheckpointError: it is not there or damaged, or ``check`` raised an error; one sentence that names the file.
    """
    import torch  # takes seconds, and who only lists runs needs none of it

    try:
        _verify(path)
        content = torch.load(path, map_location=device, weights_only=True)
        check(content)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except Exception as error:  # zip, pickle and key errors of all kinds mean the same to the user
        raise CheckpointError(f"{path}: is damaged ({one_line(error, 120)})") from None
    return content


def _verify(path: Path) -> None:
    """Raises an error of some kind if a byte is not what was written."""
    with zipfile.ZipFile(path) as archive:
        if not archive.comment and _ends_with_archive(path):
            if name := archive.testzip():
                raise ValueError(f"the checksum of {name} is wrong")
            return
        match = SEAL.fullmatch(archive.comment)
    digest, left = hashlib.blake2b(digest_size=32), path.stat().st_size - SEAL_LENGTH
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    if match is None or match[1].decode() != digest.hexdigest():
        raise ValueError("its content is not what was written")


def _ends_with_archive(path: Path) -> bool:
    """Whether nothing comes after the archive's last record: else a seal was there, and its length was damaged."""
    with path.open("rb") as file:
        file.seek(-22, os.SEEK_END)
        return file.read(4) == b"PK\5\6"


def _check_content(checkpoint: Any) -> None:
    import torch

    if not isinstance(checkpoint, dict) or not {"images_seen", "config", "state_dict"} <= checkpoint.keys():
        raise ValueError("it is no checkpoint of a run")
    images_seen, weights = checkpoint["images_seen"], checkpoint["state_dict"]
    if type(images_seen) is not int or images_seen < 0:
        raise ValueError(f"images_seen={images_seen!r} is no count of images"[:80])
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError("its state_dict holds something else than tensors")
