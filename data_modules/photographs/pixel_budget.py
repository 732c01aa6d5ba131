"""How many pixels may be decoded at once: many cores must not fill the memory with the largest images that are allowed.

One image is bounded by ``MAX_PIXELS``; what a machine with 64 cores decodes at the same time is bounded here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from data_modules.machine import available_memory

MAX_PIXELS = 2**26  #: of one image: 67 megapixels; more is a decompression bomb or will not fit flat memory
BYTES_PER_PIXEL = 20  # measured: 13 of RGB, 16 of RGBA, 20 of 32-bit grey, with Pillow's copies on the way
MEMORY_SHARE = 0.25


class PixelBudget:
    """Pixels in the making, over all threads or processes that share it.

    Args:
        condition: guards the number: ``threading.Condition()``, or a process context's ``Condition()``.
        used: has an attribute ``value``, the number: a process context's ``Value``.
        limit: pixels; at least one largest image. ``None``: what a quarter of this machine's memory holds.
    """

    def __init__(self, condition: Any = None, used: Any = None, limit: int | None = None) -> None:
        self.condition = threading.Condition() if condition is None else condition
        self.used = SimpleNamespace(value=0) if used is None else used  # a C number that is 0 counts as false
        self.limit = limit or max(MAX_PIXELS, int(MEMORY_SHARE * available_memory() / BYTES_PER_PIXEL))

    @contextmanager
    def taking(self, pixels: int) -> Iterator[None]:
        """Hold ``pixels``, at most :data:`MAX_PIXELS`, waiting until that many are free."""
        with self.condition:
            self.condition.wait_for(lambda: self.used.value + pixels <= self.limit)
            self.used.value += pixels
        try:
            yield
        finally:
            with self.condition:
                self.used.value -= pixels
                self.condition.notify_all()
