"""Why trials failed, each reason once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from invsearch.report.text import first_line
from invsearch.runs import Trial

__all__ = ["Failure", "failures"]

_NAMED = 8  # trials that are linked for each reason: they fill one line of the column


@dataclass(frozen=True)
class Failure:
    """One reason for which trials failed or were infeasible.

    Attributes:
        state: ``failed`` or ``infeasible``.
        reason: Its first line.
        count: How many trials.
        numbers: The first of them.
        part: Their share of all trials.
    """

    state: str
    reason: str
    count: int
    numbers: list[int]
    part: float


def failures(trials: Sequence[Trial]) -> list[Failure]:
    """Return each reason of failed and infeasible trials, the most frequent first."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for trial in trials:
        if trial.state in ("failed", "infeasible"):
            key = (trial.state, first_line(trial.error))
            reasons.setdefault(key, []).append(trial.number)
    ordered = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        Failure(*key, len(numbers), numbers[:_NAMED], len(numbers) / len(trials))
        for key, numbers in ordered
    ]
