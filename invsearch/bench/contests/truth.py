"""The truth of a contest's space, and the share of it that a search has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from invsearch.bench.contests.contest import Contest
from invsearch.bench.structures import get_structure
from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.runs import hypervolume
from invsearch.runs.front import non_dominated

__all__ = ["Truth", "scored"]

Array = NDArray[np.float64]

_MOST = 100_000  # architectures: every one is evaluated for the true front
_TENTH = 0.1  # of the front's extent beyond its own worst: what is far from the front adds nothing


class Truth:
    """A whole space evaluated: its hypervolume up to two references.

    The worst values of the space are one: the usual one, and soon saturated. The other is the
    front's own worst values (its nadir) and a tenth of its extent: stricter in each objective
    whose worst values the front keeps away from, and else no stricter.

    Args:
        points: Every point's objectives, minimised: (n, objectives).
    """

    def __init__(self, points: Array) -> None:
        front = points[non_dominated(points)]
        low, high = front.min(axis=0), front.max(axis=0)
        extent = np.where(high > low, high - low, np.ptp(points, axis=0))
        self._references = points.max(axis=0), high + _TENTH * extent
        self._volumes = [hypervolume(front, reference) for reference in self._references]

    @classmethod
    def of(cls, contest: Contest, problem: Problem) -> Truth:
        """Evaluate every architecture of a contest; those that may not or cannot be are none.

        Raises:
            InputError: If the space cannot be enumerated, its evaluator is missing, or no
                architecture can be evaluated within its bounds.
        """
        if contest.structure is not None:
            return cls(get_structure(contest.structure).points)
        if problem.file.evaluator is None or problem.space.size() > _MOST:
            raise InputError(
                f"{problem.file.path}: strategies are compared on a space with an evaluator and at "
                f"most {_MOST:,} architectures, all of which are evaluated for the true front"
            )
        points, reasons = [], ["all break a bound"]
        for architecture in problem.space.enumerate():
            try:
                point = scored(problem, problem.evaluation(architecture, 0).step().metrics)
            except InputError:
                raise
            except Exception as error:  # of the user's evaluator: in a search the trial has failed
                reasons.append(f"{type(error).__name__}: {error}")
            else:
                points += [point] if point is not None and np.isfinite(point).all() else []
        if not points:
            raise InputError(
                f"{problem.file.path}: no architecture can be evaluated within the bounds"
                f" ({reasons[-1]}): there is no front to compare with"
            )
        return cls(np.array(points))

    def shares(self, points: Sequence[Sequence[float] | None]) -> tuple[tuple[float, ...], ...]:
        """By reference (worst, nadir), the share of the true hypervolume after each trial.

        Args:
            points: By trial, its objectives; None where it failed or broke a bound.
        """
        nothing = [np.inf] * len(self._references[0])
        array = np.array([nothing if point is None else point for point in points])
        return tuple(
            _shares(array, reference, volume)
            for reference, volume in zip(self._references, self._volumes, strict=True)
        )


def _shares(points: Array, reference: Array, volume: float) -> tuple[float, ...]:
    found: list[float] = []
    front = points[:0]
    for point in points:
        if (point < reference).all() and not (front <= point).all(axis=1).any():
            front = np.concatenate([front[~(point <= front).all(axis=1)], point[None]])
            found.append(hypervolume(front, reference) / volume)
        else:
            found.append(found[-1] if found else 0.0)
    return tuple(found)


def scored(problem: Problem, metrics: Mapping[str, Metric]) -> list[float] | None:
    """An architecture's objectives, minimised, by their true values where there are any.

    None where a bound is broken, by true values too.
    """
    true = {name: metrics.get(f"true_{name}", metric) for name, metric in metrics.items()}
    if any(excess > 0 for excess in problem.violations(true).values()):
        return None
    return [
        true[name].value * (1 if direction == "minimize" else -1)
        for name, direction in problem.objectives.items()
    ]
