"""What a user did wrong, one sentence each, and the nearest right name. Imports nothing heavy."""

from __future__ import annotations

import difflib
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LONGEST = 190  #: characters of a sentence about settings, however long the value that is wrong


class ConfigError(Exception):
    """A user's mistake in the settings, as one sentence that names the key and says what to do."""

    def __init__(self, sentence: str) -> None:
        if len(sentence) > LONGEST:  # paths and values give way before words do
            sentence = re.sub(r"[^\s=]{37,}", lambda word: short(word[0], 32), sentence)
        super().__init__(short(sentence, LONGEST))


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Put a file before what is said about settings in it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def require_at_least(settings: object, **least: int) -> None:
    """Raises :class:`ConfigError` for the first of these settings that is a number less than it may be."""
    for key, number in least.items():
        if (value := getattr(settings, key)) is not None and value < number:
            raise ConfigError(f"{key}={value}: must be at least {number}")


class CheckpointError(Exception):
    """A checkpoint cannot be read; one sentence that names the file."""


class NonFiniteError(Exception):
    """A loss or a weight is NaN or infinite; the message says which."""


class ProcessLostError(Exception):
    """Another process of the training is gone; one sentence, with its number where that is known."""


class ModelError(Exception):
    """A model cannot do what was asked of it; one sentence."""


def short(text: str, limit: int) -> str:
    """A text on one line, printable, its middle left out if it is long: what matters is at both ends."""
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= limit else f"{text[: limit // 2]}...{text[3 - limit // 2 :]}"


def warn(sentence: object) -> None:
    """Say something on standard error that ends nothing."""
    print(f"warning: {sentence}", file=sys.stderr)


def nearest(word: str, known: Sequence[str]) -> str:
    """``"; did you mean 'x'?"``, or nothing if no known word is like it."""
    match = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""


def suggestion(word: str, known: Sequence[str]) -> str:
    """The nearest known word, or all of them if none is near."""
    return nearest(word, known) or f"; there are {textwrap.shorten(', '.join(known), 100, placeholder=' ...')}"
