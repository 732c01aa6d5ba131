"""An MP4 by a real ffmpeg holds the frames that were written."""

import re
import subprocess

import numpy as np
import pytest
from PIL import Image

from wherewhat_pl.pictures.video import NO_FFMPEG, find_ffmpeg, save_animation


def frames(width, height, count):
    """A bright square that wanders over a gradient: ``[count, height, width, 3]`` uint8."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns * 255 / width, rows * 255 / height, np.full((height, width), 96)], -1)
    pixels = np.repeat(pixels[None], count, 0).astype(np.uint8)
    for number, frame in enumerate(pixels):
        frame[4 + 4 * number : 20 + 4 * number, 8 + 4 * number : 24 + 4 * number] = (250, 200, 40)
    return pixels


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 64), (97, 65)])
def test_ffmpeg_reads_back_every_frame(tmp_path, size):
    program = find_ffmpeg()
    if program is None:
        pytest.skip(NO_FFMPEG)
    width, height = size
    written = frames(width, height, 10)
    path = tmp_path / "a.mp4"
    save_animation([Image.fromarray(frame) for frame in written], path, "mp4", frame_ms=50)
    words = [program, "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(words, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    said = done.stderr.decode()
    even = (width + width % 2, height + height % 2)
    assert re.search(rf"Video: h264.*yuv420p.* {even[0]}x{even[1]}\b.* 20 fps", said), said
    read = np.frombuffer(done.stdout, np.uint8).reshape(-1, even[1], even[0], 3)
    assert len(read) == len(written)
    error = np.abs(read[:, None, :height, :width].astype(int) - written).mean((2, 3, 4))  # [read, written]
    assert error.argmin(1).tolist() == list(range(10)), "in order"
    assert error.diagonal().max() < 6, "compression, and half the resolution of colours"
    for column in range(width, even[0]):
        assert read[:, :, column].mean() < 40, "what is added is black"
