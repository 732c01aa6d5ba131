"""Animations: GIF and WebP by Pillow, MP4 where there is ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError

FORMATS = ("gif", "webp", "mp4")
NO_FFMPEG = "there is no ffmpeg; install it, or run 'pip install \"wherewhat-pl[video]\"'"


def find_ffmpeg() -> str | None:
    """The program: one on the path, or the one that comes with imageio-ffmpeg."""
    if (found := shutil.which("ffmpeg")) or find_spec("imageio_ffmpeg") is None:
        return found
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def save_animation(frames: Sequence[Image.Image], path: Path, format: str, frame_ms: int = 60) -> None:
    """Write frames of one size, shown over and over again.

    Args:
        frames: RGB, at least one.
        path: the file, whatever it is called.
        format: one of :data:`FORMATS`.
        frame_ms: how long each is shown; browsers slow down below 20.

    Raises:
        ConfigError: ``mp4``, and there is no ffmpeg, or it fails.
    """
    if format == "mp4":
        _save_mp4(frames, path, frame_ms)
        return
    options = {"quality": 85, "method": 4} if format == "webp" else {"disposal": 1}
    frames[0].save(path, format, save_all=True, append_images=frames[1:], duration=frame_ms, loop=0, **options)


def _save_mp4(frames: Sequence[Image.Image], path: Path, frame_ms: int) -> None:
    program = find_ffmpeg()
    if program is None:
        raise ConfigError(f"formats=mp4: {NO_FFMPEG}")
    width, height = (side + side % 2 for side in frames[0].size)  # its colours are stored for 2 x 2 pixels together
    pixels = b"".join(np.asarray(frame.crop((0, 0, width, height))).tobytes() for frame in frames)
    command = [program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", f"{1000 / frame_ms:g}", "-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    done = subprocess.run([*command, "-f", "mp4", str(path)], input=pixels, capture_output=True)
    if done.returncode:
        raise ConfigError(f"formats=mp4: ffmpeg failed ({one_line(done.stderr.decode(errors='replace'), 120)})")
