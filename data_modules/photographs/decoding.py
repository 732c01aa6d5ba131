"""One encoded image file -> one square uint8 array; whatever is wrong with the file becomes :class:`BadImage`.

Everything here runs in preparation's worker processes, on files that nobody has vouched for.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from data_modules.errors import one_line
from data_modules.photographs.pixel_budget import MAX_PIXELS, PixelBudget

# Formats of photographs only: Pillow would hand PostScript to an interpreter and knows dozens of seldom-tested ones.
Image.init()
WANTED = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
FORMATS = tuple(name for name in WANTED if name in Image.OPEN)  # AVIF came with Pillow 11.3
MAX_FILE_BYTES = 2**26
INTEGER_BITS = (8, 10, 12, 14, 16, 31, 32)  #: that pixels of one channel may have
SAMPLE_FORMAT = 339  # TIFF's tag: 1 unsigned, 2 signed, 3 floating point
IN_THIS_PROCESS = PixelBudget()  #: shared by its threads
FILTER = "box"  # antialiased: each output pixel is the mean of the input pixels that it covers; enlarging is bicubic


class BadImage(Exception):
    """This one image cannot be used; the message says why in a few words."""


@dataclass(frozen=True)
class Crop:
    """Which square of an image is used.

    Attributes:
        box: ``(left, top, right, bottom)`` in pixels; ``None``: the largest square in the centre.
        of_size: ``(width, height)`` that an image must have for ``box`` to mean anything; ``None``: any.
    """

    box: tuple[int, int, int, int] | None = None
    of_size: tuple[int, int] | None = None

    def box_in(self, size: tuple[int, int], resolution: int) -> tuple[int, int, int, int]:
        """The square in an image of ``size`` (width, height); raises :class:`BadImage` where none is worth having."""
        width, height = size
        if self.of_size is not None and size != self.of_size:
            raise BadImage(f"is {width}x{height}, not {self.of_size[0]}x{self.of_size[1]} pixels")
        side = min(size)
        if side < max(8, resolution // 4):
            raise BadImage(f"too small: {width}x{height} pixels")
        left, top = (width - side) // 2, (height - side) // 2
        return self.box or (left, top, left + side, top + side)


CENTER_CROP = Crop()


def looks_like_an_image(start: bytes) -> bool:
    """Whether a file's first 16 bytes are those of one of :data:`FORMATS`: for files without an ending."""
    checks = (Image.OPEN[name][1] for name in FORMATS)
    return any(check is not None and check(start) is True for check in checks)


def decode(
    data: bytes, crop: Crop, resolution: int, budget: PixelBudget = IN_THIS_PROCESS
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode, turn upright, convert to RGB, crop and resize.

    Args:
        data: an image file's bytes, in one of :data:`FORMATS`.
        crop: which square to take, in the upright image.
        resolution: side of the result in pixels.
        budget: of pixels in the making, waited for before anything is decompressed.

    Returns:
        ``[3, resolution, resolution]`` uint8, and the upright image's ``(width, height)`` before the crop.

    Raises:
        BadImage: for anything that is not a whole, sensibly sized image.
    """
    if len(data) > MAX_FILE_BYTES:
        raise BadImage(f"{len(data) >> 20} MiB file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata and large sizes: judged below
            stored = Image.open(io.BytesIO(data), formats=FORMATS)
            if stored.width * stored.height > MAX_PIXELS:  # known from the header, before anything is decompressed
                raise BadImage(f"too large: {stored.width}x{stored.height} pixels")
            size = stored.size
            pixels = size[0] * size[1]
            if crop.box is None and resolution <= min(size) // 8:
                # JPEG's own averaging of whole blocks, down to no less than 4 times the resolution; the box filter does
                # the rest. 4 times faster for a 12-megapixel photograph at 128 pixels, in a fraction of the memory.
                side = 4 * resolution
                stored.draft(None, (size[0] * side // min(size), size[1] * side // min(size)))
                if not stored.info.get("progressive"):  # whose coefficients are all in memory, whatever comes out
                    pixels = stored.width * stored.height
            with budget.taking(pixels):
                return _square(stored, size, crop, resolution)
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage("too large to be a photograph") from error
    except Image.UnidentifiedImageError as error:
        raise BadImage("not an image of a known format") from error
    except Exception as error:  # a damaged file makes decoders raise nearly anything
        raise BadImage(f"damaged ({type(error).__name__}: {one_line(error)})") from error


def _square(
    stored: Image.Image, size: tuple[int, int], crop: Crop, resolution: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """What :func:`decode` returns, of an opened image that was ``size`` before its decoder was asked for less."""
    has_16_bits = any(";16" in str(tile) for tile in getattr(stored, "tile", ()))
    stored.load()
    image = _to_rgb(ImageOps.exif_transpose(stored), stored, has_16_bits)
    if stored.getexif().get(ExifTags.Base.Orientation, 1) >= 5:  # shown on its side
        size = size[::-1]
    box = crop.box_in(size, resolution)
    method = Image.Resampling.BOX if box[2] - box[0] > resolution else Image.Resampling.BICUBIC
    if image.size == size:
        square = image.crop(box)
        if square.width != resolution:
            square = square.resize((resolution, resolution), method)
    else:
        scale_x, scale_y = image.width / size[0], image.height / size[1]
        part = (box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y)
        square = image.resize((resolution, resolution), method, part)
    return np.asarray(square).transpose(2, 0, 1), size


def _to_rgb(image: Image.Image, stored: Image.Image, has_16_bits: bool) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # one channel of more than 8 bits
        return Image.fromarray(_to_8_bits(np.asarray(image), getattr(stored, "tag_v2", {}))).convert("RGB")
    if has_16_bits and 0 < np.asarray(image.convert("RGB")).max() < 16:  # of a colour Pillow keeps the upper 8 bits
        raise BadImage("16-bit colour that is nearly black, perhaps of 12 bits: save it with 8 bits")
    if image.mode == "RGB":
        return image
    if image.has_transparency_data:  # on white, as a page shows it; what hides under full transparency is arbitrary
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")  # grey, palette, CMYK (Pillow undoes Adobe's inversion)


def _to_8_bits(pixels: np.ndarray, tiff_tags: Mapping[int, Any]) -> np.ndarray:
    """Grey of 16 or 32 bits or floating point -> ``[H, W]`` uint8.

    Files do not say which value is white: 12 bits lie in 16, floats go to 1, 255 or 65535. It is taken to be the
    smallest usual one that no pixel exceeds, and an image that is then nearly black is refused.
    """
    if pixels.dtype == np.int32 and tiff_tags.get(SAMPLE_FORMAT) in (1, (1,)):
        pixels = pixels.view(np.uint32)  # as which Pillow has no mode
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise BadImage("has pixels that are not numbers")
    is_float = pixels.dtype.kind == "f"
    # Interpolation may have gone a little beyond white.
    whites = [(1, 2), (255, 256), (65535, 65536)] if is_float else [(2**n - 1, 2**n - 1) for n in INTEGER_BITS]
    white = next((white for white, most in whites if high <= most), None)
    if white is None or low < -white / 16 or (high < white / 16 and white != whites[0][0]):
        raise BadImage(f"has values from {low:.3g} to {high:.3g}, unclear which is white: save it with 8 bits")
    if is_float:
        return (pixels * (255 / white) + 0.5).clip(0, 255).astype(np.uint8)
    return (pixels.clip(0) >> (white.bit_length() - 8)).astype(np.uint8)
