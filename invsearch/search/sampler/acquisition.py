"""Scores candidates: expected hypervolume improvement times the probability of success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from invsearch.search.sampler.boxes import Boxes, non_dominated
from invsearch.search.sampler.ehvi import Prediction, expected_gain
from invsearch.search.sampler.gp import Features, GaussianProcess
from invsearch.search.sampler.surrogate import Surrogate

__all__ = ["Acquisition", "undominated_region"]

Array = NDArray[np.float64]

_WORK = 2.5e8
_EXACT = 768
_MOST_BOXES, _COARSE = 200, 25


@dataclass(frozen=True)
class Acquisition:
    """Everything that scores a candidate.

    Attributes:
        boxes: The undominated region of the incumbents.
        surrogates: By objective, the models of those not known.
        pending: Points under way, taken to turn out as predicted.
        limits: Models of measured constraints (met at or below 0), and of failure.
    """

    boxes: Boxes
    surrogates: Mapping[int, Surrogate]
    pending: Features
    limits: Sequence[Surrogate]

    def scores(self, at: Features, known: Mapping[int, Array]) -> Array:
        """Score every candidate: (n,), higher is better.

        Where n is large beside many trials or a complex front, scores are first bounded: deviations
        by those given a part of the trials (fewer observations never narrow a Gaussian process),
        the region by that of a part of the front. Only the leading candidates get exact scores; the
        rest get -1.

        Args:
            at: The n candidates.
            known: By known objective, their values (n,).
        """
        processes = {m: s.with_pending(self.pending) for m, s in self.surrogates.items()}
        most = max(int(np.sqrt(_WORK / max(len(at), 1))), 50)
        many = any(len(process.x) > 1.2 * most for process in processes.values())
        coarse = self.boxes if len(self.boxes) <= _MOST_BOXES else self.boxes.coarse(_COARSE)
        bounded = len(at) > _EXACT and (many or coarse is not self.boxes)
        rough = {
            m: _bounded(p, at, most) if bounded and many else p.predict(at)
            for m, p in processes.items()
        }
        weight = self._weights(at)
        region = coarse if bounded else self.boxes
        scores = _gain(region, known, rough) * weight
        if not bounded:
            return scores
        leaders = np.argsort(-scores, kind="stable")[:_EXACT]
        exact = {m: p.predict(at[leaders]) for m, p in processes.items()}
        costs = {m: cost[leaders] for m, cost in known.items()}
        final = np.full(len(at), -1.0)
        final[leaders] = _gain(self.boxes, costs, exact) * weight[leaders]
        return final

    def _weights(self, at: Features) -> Array:
        """Probability that a point succeeds and meets the constraints: (n,)."""
        weight = np.ones(len(at))
        for limit in self.limits:
            mean, sd = limit.process.predict(at)
            edge = limit.scale.forward(np.zeros(1))[0]
            weight = weight * ndtr((edge - mean) / sd)
        return np.asarray(np.maximum(weight, 1e-12))


def _gain(
    boxes: Boxes, known: Mapping[int, Array], raw: Mapping[int, tuple[Array, Array]]
) -> Array:
    predicted = {m: Prediction(mean, sd) for m, (mean, sd) in raw.items()}
    gain = expected_gain(boxes, known, predicted)
    if len(gain) and gain.max() <= 0:
        # every gain underflows: explore, far below any real gain
        return np.asarray(1e-300 * np.sum([sd for _, sd in raw.values()], axis=0))
    return gain


def _bounded(process: GaussianProcess, at: Features, most: int) -> tuple[Array, Array]:
    return process.mean(at), process.part(most).predict(at)[1]


def undominated_region(
    models: Mapping[int, Surrogate], at: Features, known: Mapping[int, Array], reference: Array
) -> Boxes:
    """The region that incumbents leave below ``reference``.

    Args:
        models: Of the objectives not known: an incumbent counts by its posterior mean, so that
        noise
            does not make it look better than it is.
        at: The n incumbents.
        known: By known objective, their values (n,).
        reference: (objectives,), the worst corner.
    """
    count = len(reference)
    columns = [known[m] if m in known else models[m].process.mean(at) for m in range(count)]
    points = np.stack(columns, axis=1)
    return Boxes(reference, points[non_dominated(points)])
