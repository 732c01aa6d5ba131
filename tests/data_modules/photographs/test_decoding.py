"""One image file: what becomes of its pixels, and which files are refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from data_modules.celeba import CROP
from data_modules.photographs.decoding import CENTER_CROP, BadImage, decode


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises ``width`` x ``height`` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_shrinking_averages_the_pixels_that_are_covered():
    pixels = noise(64, 64)
    image, size = decode(encoded(Image.fromarray(pixels)), CENTER_CROP, 16)
    means = pixels.reshape(16, 4, 16, 4, 3).mean((1, 3)).transpose(2, 0, 1)
    assert size == (64, 64)
    assert image.shape == (3, 16, 16)
    assert image.dtype == np.uint8
    assert np.abs(image - means).max() <= 1


def test_the_largest_square_in_the_centre_is_used():
    pixels = noise(40, 16)
    image, size = decode(encoded(Image.fromarray(pixels)), CENTER_CROP, 16)
    assert size == (40, 16)
    assert (image == pixels[:, 12:28].transpose(2, 0, 1)).all()


def test_celeba_is_cut_at_rows_57_to_185_and_columns_25_to_153():
    pixels = noise(178, 218)
    image, _ = decode(encoded(Image.fromarray(pixels)), CROP, 128)
    assert (image == pixels[57:185, 25:153].transpose(2, 0, 1)).all()
    with pytest.raises(BadImage, match=r"is 178x200, not 178x218"):
        decode(encoded(Image.fromarray(pixels[:200])), CROP, 128)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "I;16"])
def test_every_way_to_store_a_colour_gives_that_colour(mode):
    grey = mode in ("L", "LA", "1", "I;16")
    color = (255, 255, 255) if grey else (200, 40, 90)
    if mode == "I;16":
        stored = Image.fromarray(np.full((16, 16), 65535, np.uint16))
    else:
        stored = Image.new("RGB", (16, 16), color)
        stored = stored.quantize() if mode == "P" else stored.convert(mode)
    image, _ = decode(encoded(stored, "JPEG" if mode == "CMYK" else "PNG"), CENTER_CROP, 8)
    assert np.abs(image.reshape(3, -1).T.astype(int) - color).max() <= 4


def test_transparent_parts_become_white():
    stored = Image.new("RGBA", (16, 16), (200, 0, 0, 0))
    assert (decode(encoded(stored), CENTER_CROP, 8)[0] == 255).all()


def test_photographs_are_turned_as_their_camera_noted():
    pixels = noise(32, 48)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown rotated by 90 degrees clockwise
    turned = Image.fromarray(np.rot90(pixels))  # counterclockwise
    image, size = decode(encoded(turned, exif=exif), CENTER_CROP, 32)
    assert size == (32, 48)
    assert (image == pixels[8:40].transpose(2, 0, 1)).all()


def test_large_photographs_are_shrunk_while_decoding_to_nearly_the_same_pixels():
    smooth = Image.fromarray(noise(12, 9)).resize((1200, 900), Image.Resampling.BICUBIC)
    data = encoded(smooth, "JPEG", quality=95)
    image, size = decode(data, CENTER_CROP, 64)
    exact = smooth.crop((150, 0, 1050, 900)).resize((64, 64), Image.Resampling.BOX)
    assert size == (1200, 900)
    assert np.abs(image - np.asarray(exact, float).transpose(2, 0, 1)).mean() < 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image"),
        (b"these are my holiday notes", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "not an image"),
        (encoded(Image.fromarray(noise(64, 64)), "JPEG")[:900], "damaged"),
        (encoded(Image.new("RGB", (500, 1))), "too small: 500x1"),
        (bomb(60_000, 60_000), "too large"),
        (bomb(10_000, 10_000), "too large: 10000x10000"),
        (bomb(64, 64), "damaged"),
    ],
)
def test_what_is_no_whole_image_is_refused(data, reason):
    with pytest.raises(BadImage, match=reason):
        decode(data, CENTER_CROP, 64)
