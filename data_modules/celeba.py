"""CelebA (Liu et al., ICCV 2015): 202,599 aligned faces of celebrities, with 40 attributes and an official split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_modules.errors import DataError, MissingDataError
from data_modules.images import ImageDataModule
from data_modules.photographs.decoding import Crop
from data_modules.photographs.generated_faces import Layout
from data_modules.photographs.sources import ImageSource, is_image_name, open_source
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

    ``root`` holds ``img_align_celeba.zip`` or the folder ``img_align_celeba``, or the same with ``_png``, and may hold
    ``list_attr_celeba`` and ``list_eval_partition`` as ``.txt`` or ``.csv``, beside them or in ``Anno`` and ``Eval``;
    or it is the archive or folder itself. Training uses all images, as the published setting does. Arguments as in
    :class:`ImageDataModule`.

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

    def check_source(self, source: ImageSource) -> None:
        if path := find_annotations(self.root, "list_attr_celeba"):
            read_table(path, source.names)  # half a second now, or all of a training before it is refused

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
        """``[num_images, 40]`` bool; ``None`` without an attribute file. Known after ``setup``."""
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
            for name in ("img_align_celeba", "img_align_celeba_png"):
                for candidate in (folder / name, folder / f"{name}.zip"):
                    if candidate.exists():
                        return open_source(candidate)
        if any(is_image_name(path.name) for path in root.iterdir()):
            return open_source(root)
    elif root.exists():
        return open_source(root)
    raise MissingDataError(f"data.root: no CelebA images in {root}; {HOW_TO_GET}")


def find_annotations(root: Path, stem: str) -> Path | None:
    """The file ``stem``.txt or .csv in ``root``, in ``Anno`` or ``Eval``, or beside ``root`` if that is the images."""
    bases = [root]
    if not root.is_dir() or root.name.startswith("img_align_celeba"):
        bases += [root.parent, root.parent.parent]
    folders = [folder for base in bases for folder in (base, base / "Anno", base / "Eval")]
    candidates = [folder / f"{stem}{ending}" for folder in folders for ending in (".txt", ".csv")]
    return next((path for path in candidates if path.exists()), None)


def read_table(path: Path, names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Read an annotation file, the publisher's ``.txt`` or the ``.csv`` that circulates.

    Args:
        path: the file: an image's file name and small integers in each line; a CSV file has a header, a text file of
            attributes has their number and their names in its first two lines.
        names: images to find in it, by the last part of each name without its ending: ``000001.png`` is what the file
            calls ``000001.jpg``.

    Returns:
        The columns' names (none for a text file without them), and ``[len(names), columns]`` int8.

    Raises:
        DataError: an image has no line, or a line is not as it should be.
    """
    separator = "," if path.suffix == ".csv" else None
    columns: tuple[str, ...] = ()
    numbers: list[int] = []  # of the lines
    images: dict[str, int] = {}  # row of each
    values: list[str] = []  # the rest of its line
    for number, line in enumerate(path.read_text("utf-8-sig", errors="replace").splitlines(), 1):
        name, *rest = line.split(separator, 1)
        if not rest:  # an empty line, or the text file's count
            continue
        if not columns and not images and not _is_integer(line.split(separator)[-1].strip()):
            columns = tuple(line.strip().split(separator)[1 if separator else 0 :])
            continue
        images[_stem(name)] = len(values)
        numbers.append(number)
        values.append(rest[0])
    width = len(columns) or 1
    try:
        table = np.loadtxt(values, np.int8, comments=None, delimiter=separator, ndmin=2) if values else None
    except ValueError:
        table = None
    if table is None or table.shape != (len(values), width):
        raise _first_bad_line(path, numbers, [rest.strip().split(separator) for rest in values], width)
    missing = [name for name in names if _stem(name) not in images]
    if missing:
        some = ", ".join(missing[:3])
        raise DataError(f"{path}: no line for {len(missing)} images ({some}); download it again or take it away")
    return columns, table[[images[_stem(name)] for name in names]]


def _first_bad_line(path: Path, numbers: list[int], rows: list[list[str]], width: int) -> DataError:
    for number, row in zip(numbers, rows, strict=True):
        if not all(_is_integer(value.strip()) and -128 <= int(value) < 128 for value in row):
            return DataError(f"{path}, line {number}: not a file name and small integers; download it again")
        if len(row) != width:
            return DataError(f"{path}, line {number}: {len(row)} values instead of {width}; download it again")
    return DataError(f"{path}: not a table of file names and small integers; download it again")


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0]


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
        findings.append(check_md5(source.path, MD5.get(source.path.name)))
    for stem, use in (("list_attr_celeba", "attributes"), ("list_eval_partition", "the official split")):
        path = find_annotations(root, stem)
        findings.append(check_md5(path, MD5.get(path.name)) if path else Finding(stem, None, f"not there: no {use}"))
    return findings
