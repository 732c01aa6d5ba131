"""Many images as one picture, row after row, with labels along its sides if there are any."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from wherewhat_pl.pictures.pixels import tile, tile_side
from wherewhat_pl.pictures.traversal import BACKGROUND, GAP, INK

MARGIN = 34  #: pixels that labels take


def sheet(
    images: Tensor, columns: int, top: Sequence[str] = (), left: Sequence[str] = (), title: str = ""
) -> Image.Image:
    """Images in rows.

    Args:
        images: ``[N, 3, H, H]`` uint8.
        columns: images in a row.
        top, left: a label for each column and one for each row; empty: no labels.
        title: above all.
    """
    side, rows = tile_side(images.shape[-1]), -(-len(images) // columns)
    head = MARGIN // 2 * bool(title)
    x, y = MARGIN * bool(left), head + MARGIN * bool(top)
    size = (x + columns * (side + GAP) - GAP, y + rows * (side + GAP) - GAP)
    canvas = Image.new("RGB", size, BACKGROUND)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    pen.text((4, head / 2), title, fill=INK, font=font, anchor="lm")
    for column, label in enumerate(top):
        pen.text((x + column * (side + GAP) + side / 2, (head + y) / 2), label, fill=INK, font=font, anchor="mm")
    for row, label in enumerate(left):
        pen.text((x / 2, y + row * (side + GAP) + side / 2), label, fill=INK, font=font, anchor="mm")
    for number, pixels in enumerate(images):
        row, column = divmod(number, columns)
        canvas.paste(tile(pixels), (x + column * (side + GAP), y + row * (side + GAP)))
    return canvas
