"""The ways in which people have images: a folder, a zip archive, a Hugging Face parquet folder.

A source lists its images in a fixed order and hands out their encoded bytes; it decodes nothing and extracts nothing.
Files are images by the ending of their name, or, without an ending, by their first bytes; the others are counted.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from data_modules.errors import DataError, MissingDataError, one_line
from data_modules.photographs.decoding import MAX_FILE_BYTES, BadImage, looks_like_an_image

_ENDINGS = """
    .jpg .jpeg .jpe .jfif .pjpeg .pjp .png .apng .webp .bmp .dib .tif .tiff .gif .ppm .pgm .pbm .pnm .avif
    .jp2 .j2k .j2c .jpf .jpx .jpc
"""
EXTENSIONS = tuple(_ENDINGS.split())

Reader = Callable[[int], bytes]  #: index -> the image's encoded bytes; raises BadImage if they cannot be had


@dataclass(frozen=True)
class ImageSource:
    """Images by index, in an order that does not depend on the machine. Subclasses say where the bytes come from.

    Attributes:
        path: the folder or file.
        names: of the images, relative to ``path``, with ``/`` between folders.
        fingerprint: hash of the list of names and of what is cheaply known of the contents.
        left_out: how many files are not read as images, by the ending of their names; hidden ones are not counted.
    """

    path: Path
    names: tuple[str, ...]
    fingerprint: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    kind = ""  #: "folder", "zip" or "parquet"

    def __len__(self) -> int:
        return len(self.names)

    def reader(self) -> Reader:
        """Open the source for reading: one reader per process, none shared."""
        raise NotImplementedError

    def left_out_in_words(self) -> str:
        """Which files are not read, and why; empty if all are."""
        if not self.left_out:
            return ""
        by_count = sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))
        kinds = [f"{count:,} {ending or 'without an ending'}" for ending, count in by_count]
        shown = ", ".join(kinds[:5] + (["..."] if len(kinds) > 5 else []))
        return f"{sum(self.left_out.values()):,} files left out, of kinds that are not read ({shown})"


class FolderSource(ImageSource):
    """Image files in a folder and its sub-folders, links included."""

    kind = "folder"

    def reader(self) -> Reader:
        def read(index: int) -> bytes:
            path = self.path / self.names[index]
            try:
                status = path.stat()
                if not stat.S_ISREG(status.st_mode):  # a pipe or a device would be read forever
                    raise BadImage("not a regular file")
                if status.st_size > MAX_FILE_BYTES:
                    raise BadImage(f"{status.st_size >> 20} MiB file")
                return path.read_bytes()
            except OSError as error:
                raise BadImage(f"cannot be read ({error.strerror})") from error

        return read


class ZipSource(ImageSource):
    """Images in a zip archive, read in place; StyleGAN's ``dataset.json`` beside them is passed over."""

    kind = "zip"

    def reader(self) -> Reader:
        archive = zipfile.ZipFile(self.path)
        entries = _zip_entries(archive)

        def read(index: int) -> bytes:
            entry = entries[self.names[index]]
            if entry.file_size > MAX_FILE_BYTES:  # zipfile inflates no more than this size, whatever the data holds
                raise BadImage(f"{entry.file_size >> 20} MiB file")
            try:
                return archive.read(entry)
            except Exception as error:  # each compression has errors of its own
                raise BadImage(f"damaged in the archive ({one_line(error)})") from error

        return read


class ParquetSource(ImageSource):
    """Images in the rows of parquet files: column ``image``, bytes or Hugging Face's ``{bytes, path}``."""

    kind = "parquet"

    def reader(self) -> Reader:
        firsts: dict[str, int] = {}
        for index, name in enumerate(self.names):
            firsts.setdefault(name.rsplit("#", 1)[0], index)
        rows: Iterator[bytes | None] = iter(())
        at = -1  # index that ``rows`` yields next

        def read(index: int) -> bytes:
            nonlocal rows, at
            try:
                if index != at:
                    rows = _parquet_rows(self.path, firsts, index)
                data, at = next(rows), index + 1
            except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
                at = -1
                raise BadImage(f"damaged in the parquet file ({error})") from error
            if not data:
                raise BadImage("empty row")
            return data

        return read


def open_source(path: Path, key: str = "data.root") -> ImageSource:
    """The images in a folder, a zip archive or a parquet file or folder.

    Args:
        path: what the user gave.
        key: the setting to name in errors.

    Raises:
        MissingDataError: nothing is there, or a folder without images.
        DataError: the archive is empty, damaged or dangerous.
    """
    if not path.exists():
        raise MissingDataError(f"{key}: there is no {path}; set it to a folder, zip or parquet file of images")
    if path.is_dir():
        source: ImageSource | None = _open_folder(path) or _open_parquet(path, sorted(path.rglob("*.parquet")))
    elif path.suffix == ".parquet":
        source = _open_parquet(path.parent, [path])
    elif zipfile.is_zipfile(path):
        source = _open_zip(path)
    else:
        raise DataError(f"{key}: {path} is neither a folder nor a zip archive nor a parquet file")
    if not source:
        error = MissingDataError if path.is_dir() else DataError  # an empty archive is a broken one
        kinds = "JPEG, PNG, WebP, AVIF, JPEG 2000, TIFF, BMP, GIF, PNM and *.parquet"
        raise error(f"{key}: there are no images in {path} (of the kinds that are read: {kinds})")
    return source


class _Sieve:
    """Tells images from other files by their names, and counts what it leaves out.

    Args:
        first_bytes: of a file, by its name; asked only for names without an ending.
    """

    def __init__(self, first_bytes: Callable[[str], bytes]) -> None:
        self.first_bytes = first_bytes
        self.left_out: Counter[str] = Counter()

    def takes(self, name: str) -> bool:
        path = PurePosixPath(name)
        # Hidden files and macOS's resource forks look like images and are not.
        if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
            return False
        ending = "" if path.suffix[1:].isdigit() else path.suffix.lower()  # a number there is part of the name
        if ending in EXTENSIONS or (not ending and looks_like_an_image(self.first_bytes(name))):
            return True
        self.left_out[ending] += 1
        return False


def is_image_name(name: str) -> bool:
    """Whether a file's name has the ending of an image."""
    return name.lower().endswith(EXTENSIONS)


def _digest(lines: list[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _open_folder(path: Path) -> FolderSource | None:
    names, seen, sieve = [], set(), _Sieve(lambda name: _first_bytes(path / name))
    for folder, subfolders, files in os.walk(path, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link back up would never end
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        prefix = os.path.relpath(folder, path)
        relative = [os.path.normpath(os.path.join(prefix, name)).replace(os.sep, "/") for name in files]
        names += [name for name in relative if sieve.takes(name)]
    if not names:
        return None
    names.sort()
    # A size for about a thousand files: notices that all were written anew, and stays quick on network file systems.
    step = max(1, len(names) // 1000)
    sizes = [_file_size(path / name) for name in names[::step]]
    return FolderSource(path, tuple(names), _digest([*names, *sizes]), sieve.left_out)


def _first_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            return b""
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""


def _file_size(path: Path) -> str:
    return str(path.stat().st_size) if path.exists() else "missing"


def _zip_entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Everything in it by name; Windows' own tools write ``\\`` between folders."""
    return {entry.filename.replace("\\", "/"): entry for entry in archive.infolist()}


def _open_zip(path: Path) -> ZipSource | None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _zip_entries(archive)
            for name, entry in entries.items():  # nothing is ever extracted, but such an archive was made to harm
                if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                    raise DataError(f"{path}: entry {entry.filename!r} points outside the archive; do not trust it")
                if entry.flag_bits & 0x1:
                    raise DataError(f"{path}: encrypted; unpack it and set data.root to the folder")
            sieve = _Sieve(lambda name: _first_bytes_of_entry(archive, entries[name]))
            names = [name for name in sorted(entries) if not name.endswith("/") and sieve.takes(name)]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: damaged zip archive ({one_line(error)}); download or pack it again") from error
    if not names:
        return None
    contents = [f"{name} {entries[name].file_size} {entries[name].CRC}" for name in names]
    return ZipSource(path, tuple(names), _digest(contents), sieve.left_out)


def _first_bytes_of_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as file:
            return file.read(16)
    except Exception:  # each compression has errors of its own
        return b""


def _pyarrow_parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("data.root: reading parquet files needs pyarrow: pip install pyarrow") from error
    return pyarrow.parquet


def _open_parquet(folder: Path, files: list[Path]) -> ParquetSource | None:
    if not files:
        return None
    parquet = _pyarrow_parquet()
    names, contents = [], []
    for file in files:
        try:
            metadata = parquet.ParquetFile(file).metadata
            columns = metadata.schema.to_arrow_schema().names
        except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
            raise DataError(f"{file}: damaged parquet file ({error}); download it again") from error
        if "image" not in columns:
            raise DataError(f"{file}: no column 'image' among {', '.join(columns)}")
        relative = file.relative_to(folder).as_posix()
        names += [f"{relative}#{row}" for row in range(metadata.num_rows)]
        contents.append(f"{relative} {metadata.num_rows} {file.stat().st_size}")
    return ParquetSource(folder, tuple(names), _digest(contents)) if names else None


def _parquet_rows(folder: Path, firsts: dict[str, int], start: int) -> Iterator[bytes | None]:
    """Encoded images in order from index ``start`` on, a few at a time; ``firsts``: each file's first index."""
    parquet = _pyarrow_parquet()
    skip = start - max(first for first in firsts.values() if first <= start)
    for name in [name for name, first in firsts.items() if first >= start - skip]:
        file = parquet.ParquetFile(folder / name)
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if skip >= rows:
                skip -= rows
                continue
            for batch in file.iter_batches(batch_size=16, row_groups=[group], columns=["image"]):
                for value in batch.column(0)[skip:].to_pylist():
                    yield value["bytes"] if isinstance(value, dict) else value
                skip = max(0, skip - len(batch))
