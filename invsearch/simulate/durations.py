"""How long simulated trials take, and how many run at a time."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from invsearch.errors import InputError
from invsearch.search.proposal import Proposal

__all__ = ["Durations", "parse_durations", "parse_workers"]


@dataclass(frozen=True)
class Durations:
    """Seconds of a whole trial on one worker, the same in every process for one proposal.

    Attributes:
        low: The shortest.
        high: The longest; between the two every duration is as likely.
        seen: What trials of an earlier run took, by the key of their architecture; where there are
            any, an architecture that was seen takes the same again, and any other draws one.
    """

    low: float = 0.0
    high: float = 0.0
    seen: Mapping[str, float] = field(default_factory=dict)

    def of(self, proposal: Proposal) -> float:
        """The seconds that a proposal takes, if nothing stops it."""
        if not self.seen:
            return random.Random(proposal.seed).uniform(self.low, self.high)
        known = self.seen.get(proposal.architecture.key)
        return known or random.Random(proposal.seed).choice(sorted(self.seen.values()))

    def __str__(self) -> str:
        if self.seen:
            return "as in the earlier run"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}..{self.high:g}"

    @property
    def words(self) -> str:
        """The same for people, with its unit."""
        return str(self) if self.seen else f"{self} s each"


def parse_durations(text: str) -> Durations:
    """Read ``SECONDS``, or ``LOW..HIGH`` for a range.

    Raises:
        InputError: If it is neither, or not positive.
    """
    low, dots, high = text.partition("..")
    try:
        ends = (float(low), float(high if dots else low))
    except ValueError:
        ends = (math.nan, math.nan)
    if not (0 < ends[0] <= ends[1] < math.inf):
        raise InputError(
            f"--seconds-per-trial {text!r} is neither a positive number of seconds nor a range "
            "LOW..HIGH (for example 60, or 30..90)"
        )
    return Durations(*ends)


def parse_workers(text: str) -> tuple[int, ...]:
    """Read whole numbers of at least 1, separated by commas; each is simulated once.

    Raises:
        InputError: If one is not.
    """
    numbers = []
    for part in text.split(","):
        if not part.strip().isdecimal() or int(part) < 1:
            raise InputError(
                f"--workers {text!r}: {part.strip()!r} is not a whole number of at least 1 (for "
                "example 8,64,1000)"
            )
        numbers.append(int(part))
    return tuple(dict.fromkeys(numbers))
