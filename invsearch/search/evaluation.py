"""Evaluation: the part of a trial that costs time, one step (an epoch, a call) after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from invsearch.errors import InvsearchError, TrialError
from invsearch.metrics import Metric
from invsearch.space.architecture import Value

if TYPE_CHECKING:
    from invsearch.train import Trainer

__all__ = [
    "Evaluation",
    "FunctionEvaluation",
    "InstantEvaluation",
    "Progress",
    "TrainedEvaluation",
    "describe_failure",
    "metrics_from",
]

CHECKPOINT = "checkpoint.pt"


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


class FunctionEvaluation(InstantEvaluation):
    """One call of the user's ``evaluator:`` function."""

    def __init__(
        self, function: Callable[[dict[str, Value]], Mapping[str, Any]], values: dict[str, Value]
    ) -> None:
        super().__init__({})
        self._function = function
        self._values = values

    def step(self) -> Progress:
        return Progress(1, True, metrics_from(self._function(dict(self._values)), "evaluator"))


class TrainedEvaluation:
    """Training, an epoch a step, with metrics at the rungs and at the end.

    Args:
        make: Builds the trainer, so that nothing heavy happens before the first step.
        rungs: Epochs after which metrics are taken besides the last.
    """

    def __init__(self, make: Callable[[], Trainer], rungs: frozenset[int]) -> None:
        self._make = make
        self._rungs = rungs
        self._trainer: Trainer | None = None
        self._checkpoint: Path | None = None

    def step(self) -> Progress:
        trainer = self._ready()
        if not trainer.done:  # a kill can fall between the last epoch and its metrics
            trainer.train_epoch()
        measured = trainer.done or trainer.epoch in self._rungs
        metrics = trainer.evaluate() if measured else {}
        return Progress(trainer.epoch, trainer.done, metrics)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ready().save(folder / CHECKPOINT)

    def load(self, folder: Path) -> None:
        self._checkpoint = folder / CHECKPOINT

    def _ready(self) -> Trainer:
        if self._trainer is None:
            self._trainer = self._make()
            if self._checkpoint is not None and self._checkpoint.is_file():
                self._trainer.load(self._checkpoint)
        return self._trainer


def metrics_from(result: object, who: str) -> dict[str, Metric]:
    """Turn what a user's function returned into metrics of source ``evaluated``.

    Values are numbers, or mappings with ``value`` and optionally ``low`` and ``high``.

    Raises:
        TrialError: If it is no mapping of names to finite numbers.
    """
    if not isinstance(result, Mapping):
        raise TrialError(f"the {who} returned {type(result).__name__}, expected a dict of metrics")
    metrics = {}
    for name, entry in result.items():
        parts = dict(entry) if isinstance(entry, Mapping) else {"value": entry}
        try:
            value = float(parts["value"])
            low, high = (_number(parts.get(end)) for end in ("low", "high"))
        except (KeyError, TypeError, ValueError):
            raise TrialError(f"the {who} returned {name!r}: {entry!r}, not a number") from None
        if not all(math.isfinite(number) for number in (value, low, high) if number is not None):
            raise TrialError(f"the {who} returned {name!r}: {entry!r}, not a finite number")
        metrics[str(name)] = Metric(str(name), value, "evaluated", low, high)
    return metrics


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def describe_failure(error: BaseException) -> str:
    """One line that tells why a trial failed."""
    if isinstance(error, InvsearchError):
        return str(error)
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return f"out of memory: {text}" if text else "out of memory"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
