"""What a user did wrong, one sentence each, and the nearest right name. Imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class ConfigError(Exception):
    """A user's mistake in the settings, as one sentence that names the key and says what to do."""


class CheckpointError(Exception):
    """A checkpoint cannot be read; one sentence that names the file."""


class NonFiniteError(Exception):
    """A loss or a weight is NaN or infinite; the message says which."""


class ModelError(Exception):
    """A model cannot do what was asked of it; one sentence."""


def nearest(word: str, known: Sequence[str]) -> str:
    """``"; did you mean 'x'?"``, or nothing if no known word is like it."""
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""


def suggestion(word: str, known: Sequence[str]) -> str:
    """The nearest known word, or all of them if none is near."""
    return nearest(word, known) or f"; there are {', '.join(known)}"
