"""One image file: what becomes of its pixels, and which files are refused."""

from __future__ import annotations

import io
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, features

from data_modules.celeba import CROP
from data_modules.photographs import decoding, pixel_budget
from data_modules.photographs.decoding import CENTER_CROP, BadImage, decode
from data_modules.photographs.pixel_budget import MAX_PIXELS, PixelBudget


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


RAMP = np.linspace(0, 1, 64).reshape(8, 8)


@pytest.mark.parametrize(
    ("values", "format"),
    [
        *((np.float32(RAMP * white), "TIFF") for white in (1, 255, 65535)),
        *(
            (np.uint16(np.round(RAMP * (2**bits - 1))), format)
            for bits in (8, 10, 12, 14, 16)
            for format in ("PNG", "TIFF")
        ),
        *((np.int32(np.round(RAMP * (2**bits - 1))), "TIFF") for bits in (8, 12, 16, 31)),
    ],
)
def test_whatever_their_depth_black_is_black_and_white_is_white(values, format):
    image, _ = decode(encoded(Image.fromarray(values), format), CENTER_CROP, 8)
    assert np.abs(image - 255 * RAMP).max() <= 1
    assert (image.min(), image.max()) == (0, 255)


def test_unsigned_32_bits_are_not_taken_for_negative_numbers():
    values = np.round(RAMP * (2**32 - 1)).astype(np.uint32)
    data = encoded(Image.fromarray(values.view(np.int32)), "TIFF")
    entry = struct.pack("<HHIHH", 339, 3, 1, 2, 0)  # sample format: signed
    assert data.count(entry) == 1
    image, _ = decode(data.replace(entry, struct.pack("<HHIHH", 339, 3, 1, 1, 0)), CENTER_CROP, 8)
    assert np.abs(image - 255 * RAMP).max() <= 1


def png_of_16_bits(pixels: np.ndarray) -> bytes:
    """``[H, W, 3]`` as a PNG of three 16-bit channels, which Pillow reads but cannot write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_12_bits_of_colour_in_16_are_refused_and_not_taken_for_night():
    colors = RAMP[:, :, None] * np.array([1, 0.5, 0.2])
    image, _ = decode(png_of_16_bits(np.round(colors * 65535)), CENTER_CROP, 8)
    assert np.abs(image - 255 * colors.transpose(2, 0, 1)).max() <= 1
    with pytest.raises(BadImage, match=r"16-bit colour that is nearly black"):
        decode(png_of_16_bits(np.round(colors * 4095)), CENTER_CROP, 8)


@pytest.mark.parametrize("values", [RAMP * 2 - 1, RAMP * 10, RAMP * np.nan, RAMP * 1e6])
def test_numbers_that_leave_open_which_is_white_are_refused(values):
    with pytest.raises(BadImage, match=r"unclear which is white|not numbers"):
        decode(encoded(Image.fromarray(np.float32(values)), "TIFF"), CENTER_CROP, 8)


@pytest.mark.parametrize("format", ["JPEG2000", "AVIF"])
def test_newer_formats_are_read_where_pillow_reads_them(format):
    if format not in Image.SAVE or not features.check({"JPEG2000": "jpg_2000", "AVIF": "avif"}[format]):
        pytest.skip(f"this Pillow has no {format}")
    image, _ = decode(encoded(Image.new("RGB", (16, 16), (200, 40, 90)), format), CENTER_CROP, 8)
    assert np.abs(image.reshape(3, -1).T.astype(int) - (200, 40, 90)).max() <= 4


def test_no_more_pixels_are_decoded_at_once_than_the_budget_has(monkeypatch):
    most, now = 0, 0
    lock = threading.Lock()
    square = decoding._square

    def watched(stored, *rest):
        nonlocal most, now
        with lock:
            now += stored.width * stored.height
            most = max(most, now)
        time.sleep(0.005)
        result = square(stored, *rest)
        with lock:
            now -= stored.width * stored.height
        return result

    monkeypatch.setattr(decoding, "_square", watched)
    budget = PixelBudget(limit=3 * 64 * 64)
    data = [encoded(Image.fromarray(noise(64, 64))), encoded(Image.fromarray(noise(64, 128))), b"no image"]

    def attempt(index: int) -> bool:
        try:
            decode(data[index % 3], CENTER_CROP, 64, budget)
        except BadImage:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(30))) == 20
    assert 0 < most <= 3 * 64 * 64
    assert budget.used.value == 0


def test_the_largest_image_fits_the_smallest_machine(monkeypatch):
    monkeypatch.setattr(pixel_budget, "available_memory", lambda: 2**28)
    assert PixelBudget().limit == MAX_PIXELS
