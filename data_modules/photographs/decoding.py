"""One encoded image file -> one square uint8 array; whatever is wrong with the file becomes :class:`BadImage`.

Everything here runs in preparation's worker processes, on files that nobody has vouched for.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageOps

# Formats of photographs only: Pillow would hand PostScript to an interpreter and knows dozens of seldom-tested ones.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 2**26  # decoded, 67 megapixels take 200 MB; more is a decompression bomb or will not fit flat memory
MAX_FILE_BYTES = 2**26
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


def decode(data: bytes, crop: Crop, resolution: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode, turn upright, convert to RGB, crop and resize.

    Args:
        data: an image file's bytes, in one of :data:`FORMATS`.
        crop: which square to take, in the upright image.
        resolution: side of the result in pixels.

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
            if crop.box is None and resolution <= min(size) // 8:
                # JPEG's own averaging of whole blocks, down to no less than 4 times the resolution; the box filter does
                # the rest. 4 times faster for a 12-megapixel photograph at 128 pixels, in a fraction of the memory.
                side = 4 * resolution
                stored.draft(None, (size[0] * side // min(size), size[1] * side // min(size)))
            stored.load()
            image = _to_rgb(ImageOps.exif_transpose(stored))
            if stored.getexif().get(ExifTags.Base.Orientation, 1) >= 5:  # shown on its side
                size = size[::-1]
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage("too large to be a photograph") from error
    except Image.UnidentifiedImageError as error:
        raise BadImage("not an image of a known format") from error
    except Exception as error:  # a damaged file makes decoders raise nearly anything
        raise BadImage(f"damaged ({type(error).__name__}: {error})") from error
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


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip it at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:  # on white, as a page shows it; what hides under full transparency is arbitrary
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")  # grey, palette, CMYK (Pillow undoes Adobe's inversion)
