"""A user's mistakes about data. Imports nothing, so that a command can know them before it loads anything."""

from __future__ import annotations


class DataError(Exception):
    """A user's mistake about data, as one sentence that names the key or the file and says what to do."""


class MissingDataError(DataError):
    """There are no images where they were looked for; the sentence says what to get and where to put it."""


def one_line(error: BaseException | str, limit: int = 160) -> str:
    """What an error says, without line breaks and cut to ``limit`` characters; its type's name if it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
