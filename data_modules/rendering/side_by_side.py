"""The strips in ``docs/images``: frames of an original animation above the same pictures drawn here.

    python -m data_modules.rendering.side_by_side shapes3d 3dshapes.gif docs/images/shapes3d_side_by_side.png
    python -m data_modules.rendering.side_by_side dsprites dsprites.gif docs/images/dsprites_side_by_side.png

The animations are those of the data sets' own repositories (deepmind/3d-shapes, deepmind/dsprites-dataset).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence

from data_modules.registry import build_data

SIDE, ENLARGED, GAP = 64, 3, 2

#: frame of the animation -> its factors
FRAMES: dict[str, dict[int, tuple[int, ...]]] = {
    "shapes3d": {
        0: (0, 6, 3, 0, 0, 0),
        4: (0, 6, 3, 0, 0, 4),
        7: (0, 6, 3, 0, 0, 7),
        11: (0, 6, 3, 0, 0, 11),
        14: (0, 6, 3, 0, 0, 14),
        15: (0, 6, 3, 0, 1, 14),
        16: (0, 6, 3, 0, 2, 14),
        17: (0, 6, 3, 0, 3, 14),
        20: (0, 6, 3, 3, 3, 14),
        24: (0, 6, 3, 7, 3, 14),
        27: (0, 6, 6, 7, 3, 14),
        30: (0, 6, 9, 7, 3, 14),
        32: (0, 6, 1, 7, 3, 14),
        35: (0, 8, 2, 7, 3, 14),
        37: (0, 0, 2, 7, 3, 14),
        42: (3, 5, 2, 7, 3, 14),
    },
    "dsprites": {
        0: (2, 0, 0, 0, 0),
        3: (2, 3, 0, 0, 0),
        17: (2, 5, 0, 0, 0),
        22: (2, 5, 4, 0, 0),
        33: (2, 5, 15, 0, 0),
        45: (2, 5, 27, 0, 0),
        75: (2, 5, 0, 0, 17),
        107: (2, 5, 0, 17, 31),
        192: (1, 0, 0, 0, 0),
        194: (1, 2, 0, 0, 0),
        214: (1, 5, 4, 0, 0),
        220: (1, 5, 10, 0, 0),
        241: (1, 5, 31, 0, 0),
        257: (0, 1, 0, 0, 0),
        276: (0, 5, 2, 0, 0),
        279: (0, 5, 5, 0, 0),
    },
}
#: the part of a frame that is the picture, in its pixels: 3DShapes' animation is a figure of 226 x 227 with a margin
PICTURE = {"shapes3d": (1.42, 0.5, 225.5, 224.4), "dsprites": (0, 0, SIDE, SIDE)}


def original_frames(name: str, animation: Path) -> np.ndarray:
    """The frames of ``FRAMES[name]``, brought back to 64 px: ``[N, 64, 64, 3]`` uint8."""
    with Image.open(animation) as file:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(file)]
    wanted = [frames[i] for i in FRAMES[name]]
    box = Image.Resampling.BOX
    return np.stack([np.asarray(frame.resize((SIDE, SIDE), box, PICTURE[name])) for frame in wanted])


def side_by_side(name: str, animation: Path) -> Image.Image:
    """Rows: the original, the same factors drawn here, and their absolute difference."""
    data = build_data(name, SIDE, batch_size=1, source="rendered")
    data.setup()
    assert data.factor_space is not None
    indices = data.factor_space.to_index(torch.tensor(list(FRAMES[name].values())))
    drawn = data.images(indices).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
    original = original_frames(name, animation)
    difference = np.abs(original.astype(int) - drawn).astype(np.uint8)
    print(f"{name}: mean absolute difference {difference[:, 1:-1, 1:-1].mean():.2f} of 255")
    rows = []
    for images in (original, drawn, difference):
        large = images.repeat(ENLARGED, 1).repeat(ENLARGED, 2)
        padded = np.pad(large, ((0, 0), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=128)
        rows.append(np.concatenate(list(padded), 1))
    return Image.fromarray(np.concatenate(rows))


if __name__ == "__main__":
    name, animation, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    output.parent.mkdir(parents=True, exist_ok=True)
    side_by_side(name, animation).save(output, optimize=True)
