"""CelebA (Liu et al., ICCV 2015): 202,599 aligned faces of celebrities, with 40 attributes and an official split."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_modules.errors import DataError, MissingDataError
from data_modules.images import ImageDataModule
from data_modules.photographs.decoding import Crop
from data_modules.photographs.generated_faces import Layout
from data_modules.photographs.sources import ImageSource, open_source
from data_modules.verification import Finding, check_count, check_md5

NUM_IMAGES = 202_599
SPLITS = ("train", "valid", "test")  #: numbered 0, 1, 2 in the partition file
CROP = Crop(box=(25, 57, 153, 185), of_size=(178, 218))  # 128x128 around x 89, y 121, as in the published code
MD5 = {  # of the files at the publisher's
    "img_align_celeba.zip": "00d2c5bc6d35e252742224ab0c1e8fcb",
    "list_attr_celeba.txt": "75e246fa4810816ffd6ee81facbd244c",
    "list_eval_partition.txt": "d32c9cbf5e040fd4025c592c306e6668",
}
HOW_TO_GET = (
    "download img_align_celeba.zip (1.4 GB), list_attr_celeba.txt and list_eval_partition.txt from "
    "mmlab.ie.cuhk.edu.hk/projects/CelebA.html ('Align&Cropped Images', 'Anno', 'Eval') and put them there as they are"
    ", or set data.source=generated to try things out with drawn faces"
)


class CelebADataModule(ImageDataModule):
    """CelebA's aligned images, the published 128x128 crop.

    ``root`` holds ``img_align_celeba.zip`` or the folder ``img_align_celeba``, and may hold ``list_attr_celeba`` and
    ``list_eval_partition`` as ``.txt`` or ``.csv``, beside them or in ``Anno`` and ``Eval``; or it is the archive or
    folder itself. Training uses all images, as the published setting does. Arguments as in :class:`ImageDataModule`.

    Raises:
        DataError: for a resolution above the crop's 128 pixels.
    """

    name = "celeba"
    crop = CROP
    layout: Layout = "celeba"
    default_root = "data/celeba"
    largest_resolution = 128

    def find_source(self) -> ImageSource:
        return find_images(self.root)

    def verify(self) -> list[Finding]:
        return verify_celeba(self.root)

    def describe_source(self, source: ImageSource) -> str:
        return "official" if len(source) == NUM_IMAGES else source.kind

    @cached_property
    def _attribute_table(self) -> tuple[tuple[str, ...], Tensor] | None:
        path = find_annotations(self.root, "list_attr_celeba")
        if path is None:
            return None
        names, table = read_table(path, self.names)
        return names, torch.from_numpy(table > 0)

    @property
    def attribute_names(self) -> tuple[str, ...] | None:
        """The 40 attributes, e.g. ``"Smiling"``; ``None`` without an attribute file. Known after ``setup``."""
        return self._attribute_table[0] if self._attribute_table else None

    @property
    def attributes(self) -> Tensor | None:
        """``[num_images, 40]`` bool; ``None`` without an attribute file. Read at the first use, about two seconds."""
        return self._attribute_table[1] if self._attribute_table else None

    @cached_property
    def split(self) -> Tensor | None:
        """``[num_images]`` int8, 0 train, 1 valid, 2 test; ``None`` without a partition file."""
        path = find_annotations(self.root, "list_eval_partition")
        return None if path is None else torch.from_numpy(read_table(path, self.names)[1][:, 0])

    def split_indices(self, name: str) -> Tensor:
        """Indices ``[count]`` int64 of the official ``"train"``, ``"valid"`` or ``"test"`` images."""
        if self.split is None:
            raise DataError(f"data.root: no list_eval_partition.txt or .csv in {self.root}, which says what is {name}")
        return (self.split == SPLITS.index(name)).nonzero()[:, 0]


def find_images(root: Path) -> ImageSource:
    """CelebA's images in any of their layouts; raises :class:`DataError` with instructions if there are none."""
    if root.is_dir():
        for folder in (root, root / "Img"):
            for candidate in (folder / "img_align_celeba", folder / "img_align_celeba.zip"):
                if candidate.exists():
                    return open_source(candidate)
        if any(root.glob("*.jpg")):
            return open_source(root)
    elif root.exists():
        return open_source(root)
    raise MissingDataError(f"data.root: no CelebA images in {root}; {HOW_TO_GET}")


def find_annotations(root: Path, stem: str) -> Path | None:
    """The file ``stem``.txt or .csv in ``root``, in ``Anno`` or ``Eval``, or beside ``root`` if that is the images."""
    bases = [root]
    if not root.is_dir() or root.name == "img_align_celeba":
        bases += [root.parent, root.parent.parent]
    folders = [folder for base in bases for folder in (base, base / "Anno", base / "Eval")]
    candidates = [folder / f"{stem}{ending}" for folder in folders for ending in (".txt", ".csv")]
    return next((path for path in candidates if path.exists()), None)


def read_table(path: Path, names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Read an annotation file, the publisher's ``.txt`` or the ``.csv`` that circulates.

    Args:
        path: the file: an image's file name and small integers in each line; a CSV file has a header, a text file of
            attributes has their number and their names in its first two lines.
        names: images to find in it, by the last part of each name.

    Returns:
        The columns' names (none for a text file without them), and ``[len(names), columns]`` int8.

    Raises:
        DataError: an image has no line, or a line is not as it should be.
    """
    columns: tuple[str, ...] = ()
    found: dict[str, np.ndarray] = {}
    for number, fields in enumerate(_lines(path), 1):
        if not fields or (number == 1 and len(fields) == 1):  # the text file's count
            continue
        if not columns and not found and not _is_integer(fields[-1]):
            columns = tuple(fields[1:] if path.suffix == ".csv" else fields)
            continue
        try:
            found[fields[0]] = np.array(fields[1:], np.int8)
        except (ValueError, OverflowError) as error:
            raise DataError(f"{path}, line {number}: not a file name and small integers; download it again") from error
        width = len(columns) or 1
        if len(fields) - 1 != width:
            raise DataError(f"{path}, line {number}: {len(fields) - 1} values instead of {width}; download it again")
    files = [name.rsplit("/", 1)[-1] for name in names]
    missing = [name for name in files if name not in found]
    if missing:
        raise DataError(f"{path}: no line for {len(missing)} images ({', '.join(missing[:3])}); download it again")
    return columns, np.stack([found[name] for name in files])


def _lines(path: Path) -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        if path.suffix == ".csv":
            yield from csv.reader(file)
        else:
            yield from (line.split() for line in file)


def _is_integer(text: str) -> bool:
    return text.lstrip("-").isdigit()


def verify_celeba(root: Path) -> list[Finding]:
    """Compare what is in ``root`` with the published set: number of images, checksums of archive and annotations.

    Raises:
        DataError: there are no images.
    """
    source = find_images(root)
    findings = [check_count(len(source), NUM_IMAGES)]
    if source.path.is_file():
        findings.append(check_md5(source.path, MD5["img_align_celeba.zip"]))
    for stem, use in (("list_attr_celeba", "attributes"), ("list_eval_partition", "the official split")):
        path = find_annotations(root, stem)
        findings.append(check_md5(path, MD5.get(path.name)) if path else Finding(stem, None, f"not there: no {use}"))
    return findings
