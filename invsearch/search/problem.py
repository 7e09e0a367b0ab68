"""Problem: what a space file asks of an architecture - known costs, evaluation, constraints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property

from invsearch.errors import TrialError
from invsearch.metrics import Direction, Metric
from invsearch.search.evaluation import Evaluation
from invsearch.space import Space, SpaceFile
from invsearch.space.architecture import Architecture

__all__ = ["Problem"]


class Problem(ABC):
    """What a space file asks of an architecture.

    A problem is pickled once to every worker. ``known`` and ``measure`` run in the driver,
    ``evaluation`` in a worker.
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

    @abstractmethod
    def known(self, architecture: Architecture) -> dict[str, Metric]:
        """Metrics that are exact before any evaluation; cheap."""

    def measure(self, architecture: Architecture) -> dict[str, Metric]:
        """Metrics measured on the driver's machine while nothing else runs on it."""
        return {}

    @abstractmethod
    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        """The expensive rest."""

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
        """By constrained metric that is there, how far its bound is exceeded (<= 0 is feasible)."""
        excess = {}
        for name, bound in self.file.constraints.items():
            if name not in metrics:
                continue
            value = metrics[name].value
            over = [value - bound.max] if bound.max is not None else []
            under = [bound.min - value] if bound.min is not None else []
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
