"""Why a call of somebody's code ended, in words that any file and terminal can hold."""

from __future__ import annotations

import traceback

from invsearch.errors import InvsearchError

__all__ = ["UserCodeError", "clean", "describe_failure", "shown", "traceback_of"]

MESSAGE_LENGTH = 500  # characters: six lines of a terminal, and a line of the log stays one
_TRACEBACK_LENGTH = 64_000  # characters: a hundred frames with their lines, both ends are kept
_VALUE_LENGTH = 80  # characters of a value in a message: a line
_MEMORY = ("out of memory", "can't allocate memory")


class UserCodeError(InvsearchError):
    """A call of somebody's code that ended in anything but a result.

    Args:
        message: One line that tells why.
        traceback: The whole traceback; empty where the message says it all.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback

    def __reduce__(self) -> tuple[type[UserCodeError], tuple[str, str]]:
        return UserCodeError, (str(self), self.traceback)  # it comes from another process, too


def clean(text: str, length: int = MESSAGE_LENGTH) -> str:
    """Return a text as one printable line of limited length.

    Lone surrogates and control characters, which no UTF-8 file or terminal takes, are escaped.
    """
    line = " ".join(text[: 4 * length].split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if len(line) <= length and len(text) <= 4 * length:
        return line
    note = f"... ({len(text):,} characters in all)"
    return line[: length - len(note)] + note


def describe_failure(error: BaseException) -> str:
    """One line that tells why a trial failed, whatever the exception's own methods do."""
    text = _text(error)
    if isinstance(error, InvsearchError):
        return clean(text)
    name = type(error).__name__
    if isinstance(error, MemoryError) or any(words in text for words in _MEMORY):
        return clean(f"out of memory: {text}" if text else "out of memory")
    return clean(f"{name}: {text}" if text else name)


def traceback_of(error: BaseException) -> str:
    """The whole traceback, its middle left out where it is longer than anybody reads."""
    try:
        lines = traceback.format_exception(error)
    except BaseException:  # an exception's own __str__ or __repr__ may raise anything
        lines = [*traceback.format_tb(error.__traceback__), describe_failure(error)]
    text = "".join(lines).encode("utf-8", "backslashreplace").decode()
    half = _TRACEBACK_LENGTH // 2
    left_out = len(text) - 2 * half
    if left_out <= 0:
        return text
    return f"{text[:half]}\n... {left_out:,} characters left out ...\n{text[-half:]}"


def shown(value: object) -> str:
    """A value of somebody's in a message: its start, whatever its ``__repr__`` does."""
    try:
        return clean(repr(value), _VALUE_LENGTH)
    except BaseException:
        return f"a {type(value).__name__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as trouble:
        return f"(its message cannot be shown: {type(trouble).__name__})"
