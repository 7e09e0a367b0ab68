"""The errors a user meets, each one clear line: what is wrong, where, and the way out."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence

__all__ = [
    "CheckError",
    "DiskError",
    "HiddenError",
    "InputError",
    "InvsearchError",
    "ManifoldError",
    "NotHereError",
    "StoppedError",
    "TrialError",
    "nearest",
    "without_password",
]


_SHOWN = 200  # characters of a path: what is longer was no path, and would hide the reason


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


class HiddenError(InputError, ImportError):
    """Something else has the name of one of our packages, where that would be imported from."""


class DiskError(InputError):
    """What the system does not let us read or write: a full disk, a read-only mount, ..."""

    @classmethod
    def of(cls, error: OSError, path: object = None, deed: str = "", hint: str = "") -> DiskError:
        """Return the one line about an error of the system.

        Args:
            error: What the system said.
            path: What it is about; None for what the error names.
            deed: What was not possible, such as ``written``.
            hint: The way out.
        """
        named = str(error.filename or "" if path is None else path)
        reason = error.strerror or str(error) or type(error).__name__
        parts = [named if len(named) <= _SHOWN else f"{named[:_SHOWN]}..."] if named else []
        parts += [f"cannot be {deed}"] if deed else []
        return cls(": ".join([*parts, reason]) + (f"; {hint}" if hint else ""))


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
    """Return ``" (did you mean 'x'?)"`` for the closest that is allowed, or an empty string.

    Names are compared by their letters, numbers by their difference: a number in quotes is told the
    number.
    """
    known = list(allowed)
    number = _number(value)
    numbers = [one for one in known if isinstance(one, int | float) and not isinstance(one, bool)]
    if number is not None and numbers:
        return f" (did you mean {min(numbers, key=lambda one: abs(one - number))!r}?)"
    close = difflib.get_close_matches(str(value), list(map(str, known)), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def without_password(text: str) -> str:
    """A text without the passwords of the URLs in it, in their authority or in their query."""
    bare = re.sub(r"(://[^/@:\s]*):[^@\s]*@", r"\1@", text)
    return re.sub(r"(?i)([?&](?:ssl)?password)=[^&\s'\"]*", r"\1=***", bare)


def _number(value: object) -> float | None:
    """What a value says as a number; None where it says none that is finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
