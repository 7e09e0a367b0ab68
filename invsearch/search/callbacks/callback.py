"""SearchCallback: what a search tells those who follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from invsearch.metrics import Direction
from invsearch.runs.trial import Trial

__all__ = ["SearchCallback", "SearchPlan", "numbers_of"]


@dataclass(frozen=True)
class SearchPlan:
    """A search that begins, or goes on.

    Attributes:
        name: Of the space, for people.
        folder: The run's folder.
        objectives: Direction by metric.
        trials: The budget.
        done: Trials that are there already; they are not told again.
    """

    name: str
    folder: Path
    objectives: Mapping[str, Direction]
    trials: int
    done: int = 0


class SearchCallback:
    """Follows a search; each method does nothing until it is overridden.

    A class of one's own needs not inherit: whatever has ``on_trial`` will do. It is called in the
    driver, between two evaluations: what it takes, the search waits for. What it raises is a
    warning; the trial counts, and the search goes on. A kill can fall between a trial's end and
    its telling: that one is not told.
    """

    def on_start(self, plan: SearchPlan) -> None:
        """Called once, before the first proposal."""

    def on_trial(self, trial: Trial) -> None:
        """Called when a trial has ended, in whichever state, in the order in which they end."""

    def close(self) -> None:
        """Called at last, however the search ended."""


def numbers_of(trial: Trial) -> dict[str, float]:
    """Every metric of a trial by its name, intervals beside them where there are some."""
    found: dict[str, float] = {}
    for name, metric in trial.metrics.items():
        ends = {"": metric.value, "/low": metric.low, "/high": metric.high}
        found |= {f"{name}{end}": value for end, value in ends.items() if value is not None}
    return found
