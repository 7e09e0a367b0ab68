"""Problem: what a space file asks of an architecture - known costs, evaluation, constraints."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from invsearch.errors import TrialError
from invsearch.evaluation import Evaluation
from invsearch.metrics import Direction, Metric
from invsearch.runs import RunFolder, Trial
from invsearch.runs.bounds import Bounds
from invsearch.space import Space, SpaceFile
from invsearch.space.architecture import Architecture

if TYPE_CHECKING:
    from invsearch.accuracy.hints import Hints

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

    @cached_property
    def bounds(self) -> Bounds:
        """By metric, the ends between which it must keep."""
        ends = {name: bound.model_dump() for name, bound in self.file.constraints.items()}
        return {
            name: {end: value for end, value in given.items() if value is not None}
            for name, given in ends.items()
        }

    @property
    @abstractmethod
    def needs_workers(self) -> bool:
        """Whether an evaluation does work worth another process."""

    @property
    def measures(self) -> bool:
        """Whether :meth:`measure` takes times that other work on the machine would spoil."""
        return False

    @property
    def reports(self) -> bool:
        """Whether an evaluation reports from within a step (:meth:`Attentive.attend`)."""
        return False

    @property
    def hints(self) -> Hints | None:
        """What cheap sources say of architectures, once :meth:`prepare` is done; None: nothing."""
        return None

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
        """Metrics that are exact, or predicted, before any evaluation; cheap.

        Raises:
            TrialError: If nothing is known of this one, whose trial fails with the reason.
        """

    @cached_property
    def known_names(self) -> tuple[str, ...]:
        """Which metrics :meth:`known` gives."""
        return tuple(self.known(self.space.sample(random.Random(0))))

    @property
    def dear(self) -> bool:
        """Whether what is known of an architecture takes a tenth of a second, not a tenth of a ms.

        A dry run then looks at fewer of them.
        """
        return False

    def identity(self, architecture: Architecture) -> Hashable:
        """What two architectures share that are one and the same: only one of them is evaluated."""
        return architecture

    def explained(self, architecture: Architecture) -> dict[str, Metric]:
        """What a dry run shows of an architecture: what is known of it."""
        return self.known(architecture)

    def measure(self, architecture: Architecture) -> dict[str, Metric]:
        """Metrics measured on the driver's machine while nothing else runs on it."""
        return {}

    @abstractmethod
    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        """The expensive rest."""

    def test(self, architecture: Architecture, weights: Path) -> dict[str, Metric]:
        """Judge on the test set what an evaluation left in a file; in the driver, at the end."""
        return {}

    @property
    def audited(self) -> tuple[str, ...]:
        """Metrics that are measured again at the end, of the front's networks in turns."""
        return ()

    def unreached(self, name: str, known: Sequence[Metric]) -> str | None:
        """Why one of :attr:`audited` cannot be measured here and now; None where it can.

        Args:
            name: The metric.
            known: What the trials in question have of it.
        """
        return None

    def audit(self, name: str, architectures: Sequence[Architecture]) -> list[Metric]:
        """Measure one of :attr:`audited` of architectures in turns.

        Raises:
            TrialError: If they cannot be measured.
        """
        raise NotImplementedError

    def compare(self, trials: Iterable[Trial], say: Callable[[str], None]) -> None:
        """Ask cheap sources about the networks that were trained, so that these can judge them.

        Args:
            trials: Of the run, in the driver, when the search is over.
            say: Tells the user what takes time.
        """
        return

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

    def check_built(self) -> None:
        """The part of :meth:`check` that needs neither data nor a device.

        Raises:
            InputError: If what is searched cannot be built.
        """
        return

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

    def admits(self, architecture: Architecture) -> bool:
        """Whether what is known of an architecture beforehand can be known and keeps the bounds."""
        try:
            known = self.known(architecture)
        except TrialError:
            return False
        return all(excess <= 0 for excess in self.violations(known).values())

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
    """The ends between which a bound is not broken for sure: of a prediction its interval's.

    A prediction that nothing measures later, of a device that is elsewhere, is taken at its value.
    """
    unsure = metric.source == "predicted" and not metric.detail.get("final")
    if not unsure or metric.low is None or metric.high is None:
        return metric.value, metric.value
    return metric.low, metric.high
