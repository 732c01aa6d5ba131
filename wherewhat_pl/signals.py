"""Signals, from the first line of the program on: a handler only notes them, and ends what could not lose anything.

SIGINT, SIGTERM and SIGUSR1 (what schedulers send ahead of time) ask a program to stop. While a training runs the
handler sets a flag, and the training ends, saved, after the batch at hand; before and after that it raises
:class:`Stopped`, since whatever is written then is written so that a kill does no harm. A second SIGINT ends at once.
The exit code is 128 + the signal's number.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

_received: int | None = None
_waits = False


class Stopped(BaseException):
    """A signal came while nothing had to be saved; no ``Exception``, so that nobody takes it for a failure.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def install() -> None:
    """Take the signals over; call first of all."""
    for number in SIGNALS:
        signal.signal(number, _note)


def received() -> int | None:
    """The signal that asked this process to stop; None if none has come."""
    return _received


@contextmanager
def waiting() -> Iterator[None]:
    """Within the block a signal only sets the flag; whoever runs the block looks at :func:`received`."""
    global _waits
    _waits = True
    try:
        yield
    finally:
        _waits = False


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    if _received == number == signal.SIGINT:
        os.write(sys.stderr.fileno(), b"\nerror: stopped at once; what was saved before stays\n")
        os._exit(128 + number)
    _received = number
    if not _waits:
        raise Stopped(number)
