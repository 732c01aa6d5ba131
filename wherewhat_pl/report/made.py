"""What commands have made of a run, for its report: the animation, rotations and sheets that lie in its folder."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from data_modules.errors import one_line
from wherewhat_pl.run.folder import RunDir

LARGEST_PICTURE = 700_000  #: bytes; a larger one is put into the page as WebP
WIDEST = 2000  #: pixels of that one's sides: twice the page's width
LARGEST_ANIMATION = 4_000_000  #: bytes; a larger one is linked to
ANIMATIONS = {".mp4": "video/mp4", ".webp": "image/webp", ".gif": "image/gif"}
PAIRS = 3  #: rotated pairs that are shown, the newest
SHEETS = {
    "generated/sheet.png": ("Random images", "Drawn from the prior."),
    "projected/sheet.png": ("Images and their codes", "Left, an image; right, what the code that was found draws."),
    "edited/edited.png": ("Attributes of one image put onto others", "A row for each image, the result at its end."),
}


@dataclass(frozen=True)
class Shown:
    """A picture or animation of the run's folder.

    Attributes:
        name: of the file, from the folder on.
        media: type, as in ``data:`` addresses.
        content: empty if it is too large for a page.
        size: of the file in bytes.
        old: whether a checkpoint came after it.
    """

    name: str
    media: str
    content: bytes
    size: int
    old: bool


@dataclass(frozen=True)
class Made:
    """What there is.

    Attributes:
        animation: of the traversal, in the format that takes least.
        ranking: the curves of the best pairs of all.
        pairs: for rotated pairs the positions of the two latents, the curve, and the grid if it is there.
        more_pairs: rotated pairs that are not shown.
        sheets: title, note and picture.
        explorer: whether an exported one lies in the folder.
    """

    animation: Shown | None = None
    ranking: Shown | None = None
    pairs: list[tuple[tuple[int, int], Shown, Shown | None]] = field(default_factory=list)
    more_pairs: int = 0
    sheets: list[tuple[str, str, Shown]] = field(default_factory=list)
    explorer: bool = False


def made_of(run: RunDir, num_latents: int, complain: Callable[[str], None]) -> Made:
    """What lies in a run's folder; ``complain`` gets a sentence about each file that is no picture."""
    trained = max((file.stat().st_mtime for file in run.kept_checkpoints()), default=0.0)

    def show(path: Path) -> Shown | None:
        if not path.is_file():
            return None
        name, size, old = str(path.relative_to(run.path)), path.stat().st_size, path.stat().st_mtime < trained
        try:
            media, content = _animation(path) if path.suffix in ANIMATIONS else _picture(path)
        except Exception as error:  # Pillow has many kinds for files that are no pictures
            complain(f"{name}: cannot be shown ({one_line(error, 80)})")
            return None
        return Shown(name, media, content, size, old)

    animations = [path for ending in ANIMATIONS if (path := run.path / "traversed" / f"traversal{ending}").is_file()]
    shown = (show(path) for path in sorted(animations, key=lambda path: path.stat().st_size))
    curves = _curves(run.path / "rotated", num_latents)
    pairs = [
        (pair, show(path), show(path.with_name(path.name.replace("curve", "grid")))) for pair, path in curves[:PAIRS]
    ]
    sheets = [(*words, show(run.path / name)) for name, words in SHEETS.items()]
    return Made(
        animation=next((each for each in shown if each is not None), None),
        ranking=show(run.path / "rotated" / "pairs.png"),
        pairs=[(pair, curve, grid) for pair, curve, grid in pairs if curve is not None],
        more_pairs=len(curves[PAIRS:]),
        sheets=[(title, note, picture) for title, note, picture in sheets if picture is not None],
        explorer=(run.path / "explorer" / "index.html").is_file(),
    )


def _curves(folder: Path, num_latents: int) -> list[tuple[tuple[int, int], Path]]:
    """Rotated pairs of this model's latents and their curves, the newest first."""
    found = []
    for path in sorted(folder.glob("latents-*-curve.png"), key=lambda path: -path.stat().st_mtime):
        pair = re.fullmatch(r"latents-(\d{1,6})-(\d{1,6})-curve\.png", path.name, re.ASCII)
        if pair and max(int(pair[1]), int(pair[2])) < num_latents:
            found.append(((int(pair[1]), int(pair[2])), path))
    return found


def _animation(path: Path) -> tuple[str, bytes]:
    if path.suffix != ".mp4":
        with Image.open(path) as picture:
            picture.verify()
    return ANIMATIONS[path.suffix], path.read_bytes() if path.stat().st_size <= LARGEST_ANIMATION else b""


def _picture(path: Path) -> tuple[str, bytes]:
    with Image.open(path, formats=["PNG"]) as picture:
        if path.stat().st_size <= LARGEST_PICTURE:
            picture.verify()
            return "image/png", path.read_bytes()
        picture.thumbnail((WIDEST, WIDEST))
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "WEBP", quality=85)
    return "image/webp", buffer.getvalue()
