"""Scores candidates: expected hypervolume improvement times the probability of success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from invsearch.search.sampler.boxes import UndominatedBoxes, non_dominated
from invsearch.search.sampler.doubt import Doubt
from invsearch.search.sampler.ehvi import Marginal, expected_gain
from invsearch.surrogate.gp import GaussianProcess
from invsearch.surrogate.kernel import Features
from invsearch.surrogate.surrogate import Surrogate

__all__ = ["Acquisition", "undominated_region"]

Array = NDArray[np.float64]

# Trials that deviations are given, boxes of the region, candidates kept; for one model. The first
# stage, a quarter as fine, is cheap enough for all candidates and leaves the second few.
_STAGES = ((48, 256, 2048), (192, 1024, 256))
_MOST_BOXES = 2000  # of the region: four objectives have more, and its smallest add nothing


@dataclass(frozen=True)
class Acquisition:
    """Everything that scores a candidate.

    Attributes:
        boxes: The undominated region of the incumbents.
        surrogates: By objective, the models of those not known.
        pending: Points under way, taken to turn out as predicted.
        limits: Models of measured constraints (met at or below 0).
        failure: Model of failure, by labels (below 0 where a trial does not fail), if any failed.
        caution: Power of the probability of success.
    """

    boxes: UndominatedBoxes
    surrogates: Mapping[int, Surrogate]
    pending: Features
    limits: Sequence[Surrogate]
    failure: Surrogate | None = None
    caution: float = 1.0
    _regions: dict[int, UndominatedBoxes] = field(default_factory=dict, init=False, repr=False)

    def scores(self, at: Features, known: Mapping[int, Array]) -> Array:
        """Score every candidate: (n,), higher is better.

        Many candidates are first scored by bounds: deviations by those given a part of the trials
        (fewer observations never narrow a Gaussian process), the region by that of a part of the
        front. Stage by stage the bounds get tighter and the candidates fewer; the last few get
        exact scores, and the rest -1.

        Args:
            at: The n candidates.
            known: By known objective, their values (n,).
        """
        rows = np.arange(len(at))
        count = max(len(self.surrogates), 1)
        for points, boxes, most in _STAGES:
            keep = int(most / count**0.5)
            if len(rows) > keep:
                region = self._region(boxes // count)
                bounds = self._score(region, at[rows], _part(known, rows), points)
                rows = rows[np.argsort(-bounds, kind="stable")[:keep]]
        scores = np.full(len(at), -1.0)
        scores[rows] = self._score(self.boxes, at[rows], _part(known, rows))
        return scores

    def doubting(self, doubt: Doubt, at: Features, known: Mapping[int, Array]) -> Array:
        """Score a few candidates by what a doubt of the models expects: (n,)."""
        predicted = {
            m: doubt.predict(surrogate, self._processes[m], at)
            for m, surrogate in self.surrogates.items()
        }
        return _gain(self.boxes, known, predicted) * self._weights(at, None)

    @cached_property
    def _processes(self) -> dict[int, GaussianProcess]:
        return {m: s.with_pending(self.pending) for m, s in self.surrogates.items()}

    def _region(self, most: int) -> UndominatedBoxes:
        if most not in self._regions:
            self._regions[most] = self.boxes.coarse(most)
        return self._regions[most]

    def _score(
        self,
        region: UndominatedBoxes,
        at: Features,
        known: Mapping[int, Array],
        points: int | None = None,
    ) -> Array:
        """Scores (n,); upper bounds from deviations given ``points`` trials, if that is given."""
        predicted = {
            m: Marginal(*_predict(process, at, points)) for m, process in self._processes.items()
        }
        return _gain(region, known, predicted) * self._weights(at, points)

    def _weights(self, at: Features, points: int | None) -> Array:
        """Probability that a point succeeds and meets the constraints: (n,)."""
        weight = np.ones(len(at))
        for limit in self.limits:
            weight = weight * _kept(limit, at, points)
        if self.failure is not None:
            weight = weight * _kept(self.failure, at, points) ** self.caution
        return np.asarray(np.maximum(weight, 1e-100))


def _kept(limit: Surrogate, at: Features, points: int | None) -> Array:
    """Probability that what a model is of stays below 0: (n,)."""
    mean, sd = _predict(limit.process, at, points)
    edge = limit.scale.forward(np.zeros(1))[0]
    return np.asarray(ndtr((edge - mean) / sd))


def _gain(
    boxes: UndominatedBoxes, known: Mapping[int, Array], predicted: Mapping[int, Marginal]
) -> Array:
    gain = expected_gain(boxes, known, predicted)
    if len(gain) and gain.max() <= 0:
        # every gain underflows: explore, far below any real gain
        return np.asarray(1e-200 * np.sum([p.deviation for p in predicted.values()], axis=0))
    return gain


def _part(known: Mapping[int, Array], rows: NDArray[np.intp]) -> dict[int, Array]:
    return {m: values[rows] for m, values in known.items()}


def _predict(process: GaussianProcess, at: Features, points: int | None) -> tuple[Array, Array]:
    """Means, and deviations given about ``points`` of the trials where they are many more."""
    if points is None or len(process.x) <= 1.2 * points:
        return process.predict(at)
    return process.mean(at), process.part(points).predict(at)[1]


def undominated_region(incumbents: Mapping[int, Array], reference: Array) -> UndominatedBoxes:
    """The region that incumbents leave below ``reference``.

    Args:
        incumbents: By objective, their values (n,).
        reference: (objectives,), the worst corner.
    """
    points = np.stack([incumbents[m] for m in range(len(reference))], axis=1)
    return UndominatedBoxes(reference, points[non_dominated(points)], _MOST_BOXES)
