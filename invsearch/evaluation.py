"""Evaluation: the part of a trial that costs time, one step (an epoch, a call) after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from invsearch.errors import InvsearchError
from invsearch.metrics import Metric

__all__ = ["WEIGHTS", "Evaluation", "InstantEvaluation", "Progress", "describe_failure"]

WEIGHTS = "weights-{seed}.safetensors"
"""What a training that is complete leaves in its trial's folder, to be judged on the test set."""


@dataclass(frozen=True)
class Progress:
    """What one step of an evaluation brought.

    Attributes:
        step: Steps done so far (epochs, for training).
        done: Whether nothing is left to do.
        metrics: The metrics as they stand now; empty between rungs.
    """

    step: int
    done: bool
    metrics: Mapping[str, Metric] = field(default_factory=dict)


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


def describe_failure(error: BaseException) -> str:
    """One line that tells why a trial failed."""
    if isinstance(error, InvsearchError):
        return str(error)
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return f"out of memory: {text}" if text else "out of memory"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
