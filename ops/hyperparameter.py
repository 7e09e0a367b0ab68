"""Hyperparameters of operators: valid values, what fits a width, what is wrong with the others."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Hyperparameter", "Refusal", "nearest_hint", "odd_size", "positive_int"]


class Refusal(str):
    """Why something is impossible, in one line, and which setting is to blame.

    Attributes:
        setting: Name of the setting, or None where no single one is to blame.
        detail: The line without the name of the operator.
    """

    setting: str | None
    detail: str

    def __new__(cls, text: str, setting: str | None = None, detail: str | None = None) -> Refusal:
        refusal = super().__new__(cls, text)
        refusal.setting, refusal.detail = setting, text if detail is None else detail
        return refusal

    def within(self, place: str) -> Refusal:
        """The same refusal, its line beginning with where it was met."""
        return Refusal(f"{place}: {self}", self.setting, self.detail)


@dataclass(frozen=True)
class Hyperparameter:
    """One setting of an operator.

    Attributes:
        default: The value used where none is given.
        allowed: Every valid value, or None where `check` decides.
        check: Says why a value is not valid; None (the value) means it is.
        description: What the setting is, in one line.
        divides_channels: Whether the value must divide the operator's channels.
        keeps_channels: How many channels `OpSpec.fit` leaves of `channels // value`; 0 where the
            value divides nothing. A value above the channels leaves none and is impossible.
        needs: Values of other hyperparameters, by name, without one of which (each) this one has
            no effect.
    """

    default: Any
    allowed: tuple[Any, ...] | None = None
    check: Callable[[Any], str | None] | None = None
    description: str = ""
    divides_channels: bool = False
    keeps_channels: int = 0
    needs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def problem(self, value: Any) -> str | None:
        """Says why `value` is not valid, or returns None."""
        if self.allowed is not None and not any(_same(value, known) for known in self.allowed):
            return f"must be one of {', '.join(map(repr, self.allowed))}"
        return self.check(value) if self.check is not None else None

    def width_problem(self, channels: int, value: Any) -> str | None:
        """Says why a valid `value` cannot go with a width of `channels`, or returns None."""
        if self.divides_channels and (reason := positive_int(value)):
            return reason
        if self.divides_channels and channels % value:
            return f"does not divide channels = {channels}"
        if self.keeps_channels and value > channels:
            return f"leaves no channel of channels = {channels}"
        return None

    def fit(self, channels: int, value: Any) -> Any:
        """The value nearest to `value` that goes with a width of `channels`.

        The largest valid one that is not above it; where there is none, the smallest above it;
        `value` itself where no valid one fits.
        """
        if not self.divides_channels and not self.keeps_channels:
            return value
        fitting = [one for one in range(1, channels + 1) if self._fits(channels, one)]
        below = [one for one in fitting if one <= value]
        return below[-1] if below else min(fitting, default=value)

    def _fits(self, channels: int, value: int) -> bool:
        enough = channels // value >= self.keeps_channels or value == 1
        divides = not self.divides_channels or channels % value == 0
        return enough and divides and self.problem(value) is None


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
