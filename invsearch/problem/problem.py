"""Problem: what a space file asks of an architecture - known costs, evaluation, constraints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property

from invsearch.errors import TrialError
from invsearch.evaluation import Evaluation
from invsearch.metrics import Direction, Metric
from invsearch.runs import RunFolder
from invsearch.space import Space, SpaceFile
from invsearch.space.architecture import Architecture

__all__ = ["Problem"]


class Problem(ABC):
    """What a space file asks of an architecture.

    A problem is pickled once to every worker. ``prepare``, ``known`` and ``measure`` run in the
    driver, ``evaluation`` in a worker.
    """

    def __init__(self, space_file: SpaceFile) -> None:
        self.file = space_file

    @property
    def space(self) -> Space:
        return self.file.space

    @property
    def objectives(self) -> Mapping[str, Direction]:
        return self.file.objectives

    @cached_property
    def wanted(self) -> tuple[str, ...]:
        """The metrics that every complete trial must have."""
        return tuple(dict.fromkeys([*self.objectives, *self.file.constraints]))

    @property
    @abstractmethod
    def needs_workers(self) -> bool:
        """Whether an evaluation does work worth another process."""

    @property
    def measures(self) -> bool:
        """Whether :meth:`measure` takes times that other work on the machine would spoil."""
        return False

    @property
    def batches(self) -> bool:
        """Whether proposals come in batches: measured costs are taken while nothing else runs."""
        return self.measures and self.needs_workers

    def prepare(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Do once what :meth:`known` needs, before anything else runs on the machine.

        Args:
            folder: The run's folder, locked, where what is found out is kept.
            say: Tells the user what takes time.

        Raises:
            InputError: If it cannot be done.
        """
        return

    @abstractmethod
    def known(self, architecture: Architecture) -> dict[str, Metric]:
        """Metrics that are exact, or predicted, before any evaluation; cheap."""

    def measure(self, architecture: Architecture) -> dict[str, Metric]:
        """Metrics measured on the driver's machine while nothing else runs on it."""
        return {}

    @abstractmethod
    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        """The expensive rest."""

    def sources(self) -> dict[str, str]:
        """By metric, the source of its values where that is known before anything is run."""
        return {}

    def baselines(self) -> dict[str, Architecture]:
        """Named architectures of the space that are evaluated first, as points of reference."""
        return {}

    @abstractmethod
    def check(self) -> None:
        """Check, before anything is spent, that the problem can be evaluated.

        Raises:
            InputError: If it cannot.
        """

    def violations(self, metrics: Mapping[str, Metric]) -> dict[str, float]:
        """By constrained metric that is there, how far its bound is exceeded (<= 0 is feasible).

        A predicted metric exceeds a bound only where its whole interval does: in doubt, the
        evaluation decides.
        """
        excess = {}
        for name, bound in self.file.constraints.items():
            if name not in metrics:
                continue
            low, high = _doubt(metrics[name])
            over = [low - bound.max] if bound.max is not None else []
            under = [bound.min - high] if bound.min is not None else []
            excess[name] = max(over + under)
        return excess

    def require(self, metrics: Mapping[str, Metric]) -> None:
        """Check that every objective and constraint was evaluated.

        Raises:
            TrialError: If one is missing.
        """
        missing = [name for name in self.wanted if name not in metrics]
        if missing:
            got = ", ".join(metrics) or "nothing"
            raise TrialError(f"{', '.join(missing)} was not evaluated (evaluated: {got})")


def _doubt(metric: Metric) -> tuple[float, float]:
    """The ends between which a bound is not broken for sure: of a prediction its interval's."""
    if metric.source != "predicted" or metric.low is None or metric.high is None:
        return metric.value, metric.value
    return metric.low, metric.high
