"""Checks of downloaded data against what its publishers say of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: a line of ``make data``'s report.

    Attributes:
        what: a file, or a property.
        ok: ``True``: as published; ``False``: not; ``None``: there is nothing official to compare with.
        detail: what was found, and what to do where it is wrong.
    """

    what: str
    ok: bool | None
    detail: str

    def __str__(self) -> str:
        return f"{'  ok' if self.ok else ' BAD' if self.ok is False else '   -'}  {self.what}: {self.detail}"


def md5_of(path: Path) -> str:
    """MD5 of a file, read a piece at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def check_count(found: int, published: int) -> Finding:
    """Is the number of images the published one?"""
    if found == published:
        return Finding("images", True, f"{found:,}")
    return Finding("images", False, f"{found:,}; the published set has {published:,}: a part or a broken download")


def check_md5(path: Path, published: str | None) -> Finding:
    """Is a file the published one? ``None``: there is no published checksum."""
    if published is None:
        return Finding(path.name, None, "no official checksum")
    if md5_of(path) == published:
        return Finding(path.name, True, "official checksum")
    return Finding(path.name, False, "differs from the official file; download it again")


def check_all_md5(published: dict[Path, str], what: str) -> Finding:
    """Are all these files there and the published ones? Reads them all, with a progress bar."""
    files = tqdm(published.items(), desc=f"checking {what}", unit=" files")
    wrong = [path for path, md5 in files if not path.exists() or md5_of(path) != md5]
    if not wrong:
        return Finding(what, True, f"{len(published):,} official checksums")
    names = ", ".join(path.name for path in wrong[:3])
    share = f"{len(wrong):,} of {len(published):,} files"
    return Finding(what, False, f"{share} missing or different ({names}...); download them again")
