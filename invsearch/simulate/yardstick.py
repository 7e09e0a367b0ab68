"""Yardstick: which share of the hypervolume a set of trials has found."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.errors import TrialError
from invsearch.metrics import Direction
from invsearch.runs import Trial, hypervolume
from invsearch.runs.front import comparable, oriented
from invsearch.simulate.problem import SimulatedProblem

__all__ = ["Yardstick", "yardstick"]

_MOST = 100_000  # architectures, as for a contest of strategies
_PILOT = 16  # architectures evaluated to see what the whole space would take
_PATIENCE_S = 10.0  # for the whole space; past it, what the simulated searches found is the measure


@dataclass(frozen=True)
class Yardstick:
    """The hypervolume that counts as all of it, up to the worst value of each objective.

    Attributes:
        reference: The worst value of each objective, every objective minimised.
        volume: The hypervolume of the whole.
        of: What the whole is, in words.
    """

    reference: tuple[float, ...]
    volume: float
    of: str

    def shares(self, points: NDArray[np.float64]) -> list[float]:
        """The share found after each point; shape (n, objectives), every objective minimised."""
        found: list[float] = []
        best: list[list[float]] = []
        for point in points.tolist():
            if not any(_covers(other, point) for other in best):
                best = [other for other in best if not _covers(point, other)] + [point]
                found.append(hypervolume(np.array(best), self.reference) / (self.volume or 1.0))
            else:
                found.append(found[-1])
        return found


def yardstick(problem: SimulatedProblem, found: Iterable[Trial]) -> Yardstick:
    """Measure by the whole space where it is evaluated in seconds, else by all that was found."""
    whole = _whole_space(problem)
    if whole is not None:
        return _of(whole, "the whole space")
    objectives = problem.objectives
    return _of(
        oriented(comparable(found, objectives), objectives), "what these simulations found together"
    )


def _of(points: NDArray[np.float64], text: str) -> Yardstick:
    worst = points.max(axis=0) if len(points) else np.zeros(points.shape[1])
    return Yardstick(tuple(worst.tolist()), hypervolume(points, worst), text)


def _whole_space(problem: SimulatedProblem) -> NDArray[np.float64] | None:
    """Every feasible architecture's objectives; None where that would take too long."""
    size = problem.space.size()
    if size > _MOST:
        return None
    rows: list[list[float]] = []
    begun = time.perf_counter()
    for index, point in enumerate(_points(problem)):
        rows.append(point)
        so_far_s = time.perf_counter() - begun
        if index + 1 == min(_PILOT, size) and so_far_s * size / (index + 1) > _PATIENCE_S:
            return None
    return np.array(rows).reshape(-1, len(problem.objectives))


def _points(problem: SimulatedProblem) -> Iterator[list[float]]:
    for architecture in problem.space.enumerate():
        metrics = problem.known(architecture) | problem.measure(architecture)
        try:
            metrics |= problem.course(architecture, 0)[-1][1].metrics
            problem.require(metrics)
        except Exception as error:  # a point that cannot be evaluated is not on the front
            if not isinstance(error, TrialError) and problem.file.evaluator is None:
                raise
            continue
        if all(excess <= 0 for excess in problem.violations(metrics).values()):
            yield _minimised([metrics[n].value for n in problem.objectives], problem.objectives)


def _minimised(values: Sequence[float], objectives: Mapping[str, Direction]) -> list[float]:
    directions = objectives.values()
    return [-v if d == "maximize" else v for v, d in zip(values, directions, strict=True)]


def _covers(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))
