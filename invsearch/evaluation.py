"""Evaluation: the part of a trial that costs time, one step (an epoch, a call) after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from invsearch.metrics import Fidelity, Metric

__all__ = [
    "WEIGHTS",
    "Attentive",
    "Evaluation",
    "InstantEvaluation",
    "Judge",
    "Outcome",
    "Progress",
    "timed_step",
]

WEIGHTS = "weights-{seed}.safetensors"
"""What a training that is complete leaves in its trial's folder, to be judged on the test set."""


@dataclass(frozen=True)
class Progress:
    """What one step of an evaluation brought.

    Attributes:
        step: Steps done so far (epochs, for training).
        done: Whether nothing is left to do.
        metrics: The metrics as they stand now; empty between rungs.
        stopped: Whether nothing is left to do because a judge, within the step, said so.
        losses: What else is known of the step, for its curve alone: ``train_loss``.
        spent: What has been spent on it so far; None where nothing is said of it.
        seconds: How long the step took; None where nobody measured it.
    """

    step: int
    done: bool
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    stopped: bool = False
    losses: Mapping[str, float] = field(default_factory=dict)
    spent: Fidelity | None = None
    seconds: float | None = None


Judge = Callable[[Progress], bool]
"""Takes in what an evaluation has reached and says whether it stops there."""


@dataclass(frozen=True)
class Outcome:
    """How an evaluation ended.

    Attributes:
        metrics: The metrics it brought.
        stopped: Whether it was stopped at a rung.
        error: Why it failed, or None.
        traceback: The whole traceback of what was raised; empty where the reason says it all.
        environment: Id of the environment it ran in; empty for the driver's.
        untold: What it reached and no judge was told of, the last step at least where it has steps.
        died: Whether the process that evaluated ended by itself; another might not.
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    stopped: bool = False
    error: str | None = None
    traceback: str = ""
    environment: str = ""
    untold: tuple[Progress, ...] = ()
    died: bool = False


class Evaluation(Protocol):
    """One architecture under evaluation: steps that can be saved, stopped and resumed."""

    def step(self) -> Progress:
        """Do the next step.

        Raises:
            TrialError: If the trial cannot go on; the message is its recorded reason.
        """

    def save(self, folder: Path) -> None:
        """Save what is needed to go on after this step."""

    def load(self, folder: Path) -> None:
        """Go on from what :meth:`save` left in the folder, if anything is there."""


@runtime_checkable
class Attentive(Protocol):
    """An evaluation that asks what trial it is, and reports from within a step."""

    def attend(self, number: int, folder: Path, judge: Judge) -> None:
        """Take in, before the first step, what trial this is.

        Args:
            number: The trial's.
            folder: Where it may keep what it needs to go on; absolute, not made yet.
            judge: To be told what is reached before a step ends.
        """


def timed_step(evaluation: Evaluation) -> Progress:
    """Do the next step and say how long it took."""
    began = time.perf_counter()
    progress = evaluation.step()
    return replace(progress, seconds=time.perf_counter() - began)


class InstantEvaluation:
    """Metrics that are there at once: looked up in a table, or none beyond the known ones."""

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self._metrics = metrics

    def step(self) -> Progress:
        return Progress(step=1, done=True, metrics=self._metrics)

    def save(self, folder: Path) -> None:
        """Nothing to save."""

    def load(self, folder: Path) -> None:
        """Nothing to load."""
