"""Signals, from the first line of the program on: none is lost, and none does harm.

SIGINT, SIGTERM and SIGUSR1 (what schedulers send ahead of time) ask a program to stop. While a training runs the
handler sets a flag, and the training ends, saved, after the batch at hand. Before and after that it raises
:class:`Stopped`, since whatever is written then is written so that a kill does no harm; asked again there, the program
ends at once. A second SIGINT ends it at once everywhere. The exit code is 128 + the signal's number.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        super().__init__(f"stopped by {signal.Signals(number).name}; nothing is lost, the same command goes on")
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


@contextmanager
def meeting(patience_s: float = 20.0) -> Iterator[None]:
    """Within the block this process waits for others in code that no handler in Python interrupts.

    Asked to stop, it ends ``patience_s`` seconds later if it still waits: who is waited for may have stopped before.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before, over = signal.set_wakeup_fd(writing), threading.Event()

    def watch() -> None:
        while number := os.read(reading, 1):
            if number[0] in SIGNALS and not over.wait(patience_s):
                _end(number[0])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(writing)
        thread.join()
        os.close(reading)


def finish(status: int) -> None:
    """The command is done: while Python takes itself down no signal changes its status; Ctrl-C hurries it."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(status))
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # a handler in Python would be gone before Python is


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    asked_before, _received = _received is not None, number
    if number == signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)  # the next one ends it in the middle of whatever, a long operation too
    if _belongs_to_a_launcher():
        return
    if _waits:
        if number == signal.SIGINT:
            _say("\nstopping after the batch at hand; a second Ctrl-C stops at once")
        return
    if asked_before or _is_importing(frame):
        _end(number)
    raise Stopped(number)


def _belongs_to_a_launcher() -> bool:
    """Whether another process started this one to train with it: then the first one says when to stop."""
    return os.environ.get("LOCAL_RANK", "0") not in ("", "0")


def _is_importing(frame: FrameType | None) -> bool:
    """Whether what is raised may be swallowed: by a callback of the import lock, by a library's bare except."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _end(number: int) -> None:
    _say(f"error: {Stopped(number)}")
    os._exit(128 + number)


def _say(line: str) -> None:
    """To standard error, past Python's own stream, which the handler may have interrupted."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())
