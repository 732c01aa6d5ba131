"""FFHQ (Karras et al., CVPR 2019): 70,000 aligned faces from Flickr at 1024x1024."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from data_modules.errors import DataError, MissingDataError
from data_modules.images import ImageDataModule
from data_modules.photographs.generated_faces import Layout
from data_modules.photographs.sources import EXTENSIONS, ImageSource, open_source
from data_modules.verification import Finding, check_all_md5, check_count

NUM_IMAGES = 70_000
IMAGES, THUMBNAILS, METADATA = "images1024x1024", "thumbnails128x128", "ffhq-dataset-v2.json"
HOW_TO_GET = (
    f"download {IMAGES} (89 GB) or, for 128 pixels and less, {THUMBNAILS} (2 GB) from github.com/NVlabs/ffhq-dataset "
    "and put it there (a zip as StyleGAN's dataset_tool.py writes it, or a folder of Hugging Face parquet files, "
    "will do too), or set data.source=generated to try things out with drawn faces"
)


class FFHQDataModule(ImageDataModule):
    """FFHQ, box-resized.

    ``root`` holds ``images1024x1024`` (flat or in sub-folders of 1000), one zip archive, ``thumbnails128x128`` (for 128
    pixels and less) or parquet files with a column ``image``, looked for in this order; or it is one of these itself.
    Arguments as in :class:`ImageDataModule`.
    """

    name = "ffhq"
    layout: Layout = "ffhq"
    default_root = "data/ffhq"

    def find_source(self) -> ImageSource:
        source = find_images(self.root)
        if source.path.name == THUMBNAILS and self.resolution > 128:
            raise DataError(f"data.resolution={self.resolution}: {source.path} has 128 pixels; get {IMAGES} or use 128")
        return source

    def verify(self) -> list[Finding]:
        return verify_ffhq(self.root)

    def describe_source(self, source: ImageSource) -> str:
        if len(source) != NUM_IMAGES:
            return source.kind
        return "official thumbnails" if source.path.name == THUMBNAILS else "official"


def find_images(root: Path) -> ImageSource:
    """FFHQ's images in any of their layouts; raises :class:`DataError` with instructions if there are none."""
    if root.is_file():
        return open_source(root)
    if root.is_dir():
        archives = sorted(root.glob("*.zip"))
        if (root / IMAGES).is_dir():
            return open_source(root / IMAGES)
        if len(archives) > 1:
            raise DataError(f"data.root: {len(archives)} zip archives in {root}; set data.root to the one to use")
        if archives:
            return open_source(archives[0])
        if (root / THUMBNAILS).is_dir():
            return open_source(root / THUMBNAILS)
        # Not simply any image below: the photographs from which FFHQ was cut may lie there too.
        is_images = any(path.name.isdigit() or path.suffix.lower() in EXTENSIONS for path in root.iterdir())
        if is_images or any(root.rglob("*.parquet")):
            return open_source(root)
    raise MissingDataError(f"data.root: no FFHQ images in {root}; {HOW_TO_GET}")


def verify_ffhq(root: Path) -> list[Finding]:
    """Compare what is in ``root`` with the published set: number of images, and checksums by ``ffhq-dataset-v2.json``.

    Raises:
        DataError: there are no images.
    """
    source = find_images(root)
    findings = [check_count(len(source), NUM_IMAGES)]
    published = {}
    if source.path.name in (IMAGES, THUMBNAILS) and (source.path.parent / METADATA).exists():
        by_name = {Path(name).name: name for name in source.names}  # flat or in sub-folders
        md5 = published_md5(source.path.parent / METADATA, source.path.name)
        published = {source.path / by_name.get(Path(name).name, name): value for name, value in md5.items()}
    if published:
        return [*findings, check_all_md5(published, source.path.name)]
    return [*findings, Finding(METADATA, None, "not there, or not of these files: no official checksums")]


def published_md5(metadata: Path, folder: str) -> dict[str, str]:
    """Paths below ``folder`` and their MD5 in FFHQ's metadata file, which is 255 MB: it is searched, not parsed."""
    pattern = rb'"file_path":\s*"%s/([^"]+)",\s*"file_size":\s*\d+,\s*"file_md5":\s*"([0-9a-f]{32})"' % folder.encode()
    with metadata.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return {match[1].decode(): match[2].decode() for match in re.finditer(pattern, content)}
