"""Hyperparameters of operators: defaults, valid values, and what is wrong with the others."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Hyperparameter", "nearest_hint", "odd_size", "positive_int"]


@dataclass(frozen=True)
class Hyperparameter:
    """One setting of an operator.

    Attributes:
        default: The value used where none is given.
        allowed: Every valid value, or None where `check` decides.
        check: Says why a value is not valid; None (the value) means it is.
        description: What the setting is, in one line.
    """

    default: Any
    allowed: tuple[Any, ...] | None = None
    check: Callable[[Any], str | None] | None = None
    description: str = ""

    def problem(self, value: Any) -> str | None:
        """Says why `value` is not valid, or returns None."""
        if self.allowed is not None and not any(_same(value, known) for known in self.allowed):
            return f"must be one of {', '.join(map(repr, self.allowed))}"
        return self.check(value) if self.check is not None else None


def positive_int(value: Any) -> str | None:
    """A `Hyperparameter.check`: a whole number of at least 1."""
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return None if whole else "must be a whole number of at least 1"


def odd_size(value: Any) -> str | None:
    """A `Hyperparameter.check`: an odd whole number, so that the window has a centre."""
    return positive_int(value) or (None if value % 2 else "must be odd: the window needs a centre")


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'involution'?)`, or nothing if no known name is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def _same(value: Any, known: Any) -> bool:
    return value == known and isinstance(value, bool) == isinstance(known, bool)
