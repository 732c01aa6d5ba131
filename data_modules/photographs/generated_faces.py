"""Cartoon faces, drawn in a moment: so that everything for photographs can be tried before any photograph is there.

They vary in background, skin, hair, eyes, glasses, smile, face width, tilt, turn and light, all independently, and are
written in the official sets' layouts with a note beside them that says what they are.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from data_modules.errors import DataError
from data_modules.locking import exclusive

NOTE = "GENERATED.txt"  # where it lies, the data's source is "generated", whatever the layout looks like

Layout = Literal["images", "celeba", "ffhq"]

_ATTRIBUTES = """
    5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
    Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones
    Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline
    Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick
    Wearing_Necklace Wearing_Necktie Young
"""
CELEBA_ATTRIBUTES = tuple(_ATTRIBUTES.split())

Color = tuple[int, int, int]
HAIR: dict[str, Color] = {
    "Black_Hair": (30, 26, 28),
    "Brown_Hair": (104, 66, 40),
    "Blond_Hair": (226, 190, 110),
    "Gray_Hair": (168,) * 3,
}
LIGHT_SKIN, DARK_SKIN = np.array((250, 218, 190)), np.array((96, 60, 40))


@dataclass(frozen=True)
class Face:
    """What is drawn. Shares are in 0..1, signed ones in -1..1."""

    background: tuple[Color, Color]  # top and bottom
    shirt: Color
    skin: float  # light to dark
    hair: str
    long_hair: bool
    bangs: float
    width: float
    eye_size: float
    iris: Color
    glasses: bool
    smile: float  # signed
    mouth_open: float
    turn: float  # signed: to the left, to the right
    tilt: float  # signed
    light: float  # signed: from the left, from the right

    @classmethod
    def sample(cls, random: np.random.Generator) -> Face:
        def color(saturation: float, value: float) -> Color:
            red, green, blue = colorsys.hsv_to_rgb(random.uniform(), saturation, value)
            return round(255 * red), round(255 * green), round(255 * blue)

        return cls(
            background=(color(random.uniform(0.1, 0.6), random.uniform(0.4, 1)), color(0.4, random.uniform(0.2, 0.9))),
            shirt=color(0.7, random.uniform(0.3, 0.9)),
            skin=random.uniform(),
            hair=str(random.choice(list(HAIR))),
            long_hair=bool(random.uniform() < 0.5),
            bangs=random.uniform(),
            width=random.uniform(),
            eye_size=random.uniform(),
            iris=color(0.6, 0.55),
            glasses=bool(random.uniform() < 0.2),
            smile=random.uniform(-1, 1),
            mouth_open=max(0.0, random.uniform(-1, 1)),
            turn=random.uniform(-1, 1),
            tilt=random.uniform(-1, 1),
            light=random.uniform(-1, 1),
        )

    def attributes(self) -> set[str]:
        """The CelebA attributes that are true of it."""
        true = {
            self.hair: True,
            "Bangs": self.bangs > 0.5,
            "Chubby": self.width > 0.7,
            "Eyeglasses": self.glasses,
            "Mouth_Slightly_Open": self.mouth_open > 0.2,
            "Narrow_Eyes": self.eye_size < 0.3,
            "No_Beard": True,
            "Oval_Face": self.width < 0.4,
            "Pale_Skin": self.skin < 0.2,
            "Smiling": self.smile > 0.2,
            "Straight_Hair": True,
            "Young": self.hair != "Gray_Hair",
        }
        return {name for name, value in true.items() if value}


def draw_face(face: Face, size: tuple[int, int], center: tuple[float, float], height: float) -> Image.Image:
    """Draw one face.

    Args:
        face: what to draw.
        size: ``(width, height)`` of the picture in pixels.
        center: of the face, ``(x, y)`` in pixels.
        height: half the face's height in pixels.

    Returns:
        An RGB picture.
    """
    scale = 2 * height  # drawn at twice the size, then averaged: smooth edges
    middle = (2 * center[0], 2 * center[1])
    layer = Image.new("RGBA", (2 * size[0], 2 * size[1]))
    draw = ImageDraw.Draw(layer)
    skin = LIGHT_SKIN + face.skin * (DARK_SKIN - LIGHT_SKIN)
    hair, width = HAIR[face.hair], 0.68 + 0.2 * face.width

    def shade(factor: float) -> Color:
        red, green, blue = (int(c) for c in (skin * factor).clip(0, 255))
        return red, green, blue

    def at(point: Sequence[float]) -> tuple[float, float]:  # from face heights around the face's middle to pixels
        return middle[0] + scale * point[0], middle[1] + scale * point[1]

    def box(x: float, y: float, half_width: float, half_height: float) -> list[float]:
        return [*at((x - half_width, y - half_height)), *at((x + half_width, y + half_height))]

    line = max(1, round(0.05 * scale))
    if face.long_hair:
        draw.rounded_rectangle(box(0, 0.2, width + 0.2, 1.15), 0.6 * scale, fill=hair)
    draw.ellipse(box(0, 2.8, 1.5, 1.65), fill=face.shirt)
    draw.rectangle(box(0, 1.0, 0.28, 0.35), fill=shade(0.85))
    draw.ellipse(box(0, -0.25, width + 0.12, 0.95), fill=hair)
    draw.ellipse(box(0, 0, width, 1), fill=shade(1))
    turn = 0.22 * face.turn
    hairline = -0.62 + 0.28 * face.bangs
    draw.chord(box(turn / 4, hairline, width + 0.06, hairline + 1.1), 180, 360, fill=hair)
    eye = 0.08 + 0.07 * face.eye_size
    for side in (-1, 1):
        x = 0.34 * side * (1 - 0.5 * abs(turn)) + turn
        draw.ellipse(box(x, -0.12, 0.17, eye), fill="white")
        draw.ellipse(box(x + turn / 5, -0.12, 0.6 * eye + 0.02, 0.8 * eye), fill=face.iris)
        draw.ellipse(box(x + turn / 5, -0.12, 0.04, 0.04), fill="black")
        draw.arc(box(x, -0.2, 0.22, 0.2), 210, 330, fill=hair, width=line)
        if face.glasses:
            draw.ellipse(box(x, -0.12, 0.26, 0.23), outline=(20, 20, 20), width=max(1, line // 2))
    if face.glasses:
        draw.line([*box(turn, -0.12, 0.09, 0)], fill=(20, 20, 20), width=max(1, line // 2))
    nose = ((1.2 * turn, -0.05), (1.5 * turn + 0.1, 0.25), (1.2 * turn - 0.1, 0.25))
    draw.polygon([at(point) for point in nose], fill=shade(0.8))
    across = np.linspace(-1, 1, 13)
    bend = 0.16 * face.smile * (1 - across**2)
    upper = np.stack([turn + 0.3 * across, 0.52 + bend - 0.08 * face.smile], 1)
    lower = upper + np.stack([np.zeros(13), (0.06 + 0.2 * face.mouth_open) * (1 - across**2)], 1)
    inside = (120, 30, 40) if face.mouth_open else (180, 70, 80)
    draw.polygon([at(point) for point in (*upper, *lower[::-1])], fill=inside)
    draw.line([at(point) for point in upper], fill=(170, 60, 70), width=line)
    layer = layer.reduce(2).rotate(14 * face.tilt, Image.Resampling.BILINEAR, center=center)

    top, bottom = np.array(face.background, np.float32)
    rows = np.linspace(0, 1, size[1], dtype=np.float32)[:, None, None]
    backdrop = np.broadcast_to(top + rows * (bottom - top), (size[1], size[0], 3))
    pixels = np.asarray(layer, np.float32)
    alpha = pixels[..., 3:] / 255
    light = 1 + 0.3 * face.light * np.linspace(-1, 1, size[0], dtype=np.float32)[None, :, None]
    image = backdrop * (1 - alpha) + pixels[..., :3] * alpha * light
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def write_generated_faces(
    folder: str | Path,
    count: int,
    size: int = 128,
    seed: int = 0,
    layout: Layout = "images",
) -> None:
    """Draw ``count`` faces into a folder.

    Args:
        folder: created if missing.
        count: number of faces; the first ones are the same for every count.
        size: side of the square pictures in pixels; CelebA's are 178x218 as in the official set.
        seed: another seed, other faces.
        layout: ``"images"``: ``face_000000.png``...; ``"celeba"``: JPEGs in ``img_align_celeba/`` with attribute and
            partition files; ``"ffhq"``: ``images1024x1024/00000/00000.png``... in sub-folders of 1000.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTE).write_text("Cartoon faces drawn by data_modules/generated_faces.py: not photographs.\n")
    attributes, partition = [], []
    for index in tqdm(range(count), desc="drawing faces", unit=" faces", disable=count < 500):
        face = Face.sample(np.random.default_rng((seed, index)))
        if layout == "celeba":
            path = folder / f"img_align_celeba/{index + 1:06d}.jpg"
            image = draw_face(face, (178, 218), (89, 121), 46)
            true = face.attributes()
            attributes.append(path.name + "".join("  1" if name in true else " -1" for name in CELEBA_ATTRIBUTES))
            # In the official shares: 162,770 of 202,599 for training, 19,867 for validation, the rest for testing.
            partition.append(f"{path.name} {0 if index < 0.803 * count else 1 if index < 0.901 * count else 2}")
        else:
            official = f"images1024x1024/{index // 1000 * 1000:05d}/{index:05d}.png"
            path = folder / (official if layout == "ffhq" else f"face_{index:06d}.png")
            image = draw_face(face, (size, size), (0.5 * size, 0.53 * size), 0.34 * size)
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=95) if path.suffix == ".jpg" else image.save(path, compress_level=1)
    if layout == "celeba":
        lines = [str(count), " ".join(CELEBA_ATTRIBUTES), *attributes]
        (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
        (folder / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")


def cached_generated_faces(cache: Path, count: int, size: int, seed: int, layout: Layout) -> Path:
    """A folder as :func:`write_generated_faces` writes it, drawn the first time it is asked for.

    Args:
        cache: gets a sub-folder per set of the other arguments.
        count, size, seed, layout: as in :func:`write_generated_faces`.

    Returns:
        The folder; complete even if an earlier process was interrupted, or another one draws at the same time.

    Raises:
        DataError: the cache cannot be written to.
    """
    folder = cache / f"generated-{layout}-{count}-{size}-{seed}"
    if folder.exists():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with exclusive(cache / f"{folder.name}.lock", f"drawing {folder}"):
            if not folder.exists():
                unfinished = folder.with_suffix(".unfinished")
                write_generated_faces(unfinished, count, size, seed, layout)
                unfinished.rename(folder)
    except OSError as error:
        raise DataError(f"data.cache: cannot draw faces in {folder} ({error.strerror or error})") from error
    return folder
