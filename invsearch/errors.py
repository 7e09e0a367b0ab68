"""The errors a user meets, each one clear line: what is wrong, where, and the way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

__all__ = [
    "CheckError",
    "InputError",
    "InvsearchError",
    "ManifoldError",
    "NotHereError",
    "StoppedError",
    "TrialError",
    "nearest",
    "without_password",
]


class InvsearchError(Exception):
    """Base of every error whose message alone is shown to the user (exit code 1)."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """What the user is shown, a line each."""
        return (str(self),)


class InputError(InvsearchError):
    """A file, a value or an option that cannot be used (exit code 2)."""

    exit_code = 2


class NotHereError(InputError):
    """A file, a module or a data set that is named and is not at hand here."""


class CheckError(InvsearchError):
    """A check that was asked for and failed (exit code 1)."""


class ManifoldError(InputError):
    """Faults that are independent of each other and are all told, a line each.

    Args:
        reasons: One text for each.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self._reasons = tuple(reasons)

    @property
    def lines(self) -> tuple[str, ...]:
        return self._reasons


class StoppedError(InvsearchError):
    """The user interrupted a command (exit code 130); nothing that was finished is lost."""

    exit_code = 130


class TrialError(InvsearchError):
    """A reason why one trial failed; it is recorded with the trial and the search goes on."""


def nearest(value: object, allowed: Iterable[object]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest allowed name, or an empty string."""
    names = [str(name) for name in allowed]
    close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def without_password(text: str) -> str:
    """A text without the passwords of the URLs in it, in their authority or in their query."""
    bare = re.sub(r"(://[^/@:\s]*):[^@\s]*@", r"\1@", text)
    return re.sub(r"(?i)([?&](?:ssl)?password)=[^&\s'\"]*", r"\1=***", bare)
