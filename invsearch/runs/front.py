"""The front: who is on it, how surely, and how much of the objective space it dominates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from invsearch.metrics import Direction
from invsearch.runs.trial import Trial

__all__ = [
    "Cloud",
    "FrontMember",
    "comparable",
    "dominates",
    "front",
    "fully_paid",
    "hypervolume",
    "hypervolume_trace",
    "non_dominated",
    "oriented",
    "reference_point",
]

Array = NDArray[np.float64]
_CHUNK = 100  # draws held at a time
_REACH = 6.0  # standard errors beyond which no draw is expected


@dataclass(frozen=True)
class FrontMember:
    """A trial that nothing dominates, by what was observed or by what is believed.

    Attributes:
        trial: The trial.
        p_front: Probability that it is truly non-dominated among the trials.
    """

    trial: Trial
    p_front: float

    @property
    def doubtful(self) -> bool:
        """Whether it is more likely dominated than not; such a member is not recommended."""
        return self.p_front < 0.5


class Cloud(Protocol):
    """What is known of the objectives of n trials, less being better."""

    @property
    def centre(self) -> Array:
        """Their likeliest values: (n, objectives)."""

    @property
    def exact(self) -> bool:
        """Whether there is no doubt about any."""

    def ends(self, deviations: float) -> tuple[Array, Array]:
        """The best and the worst that so many standard deviations reach: (n, objectives) each."""

    def draw(self, count: int, rng: np.random.Generator, which: NDArray[np.intp]) -> Array:
        """Draws of those of the trials: (count, which, objectives)."""


class Believing(Protocol):
    """What is believed of trials; see :class:`invsearch.runs.beliefs.Beliefs`."""

    def cloud(self, trials: Sequence[Trial]) -> Cloud:
        """What is believed of these."""


@dataclass(frozen=True)
class _Observed:
    """What was observed: independent normal values by the 95 % intervals.

    Attributes:
        centre: (n, objectives) values.
        sigma: (n, objectives) standard errors.
    """

    centre: Array
    sigma: Array

    @property
    def exact(self) -> bool:
        return not self.sigma.any()

    def ends(self, deviations: float) -> tuple[Array, Array]:
        return self.centre - deviations * self.sigma, self.centre + deviations * self.sigma

    def draw(self, count: int, rng: np.random.Generator, which: NDArray[np.intp]) -> Array:
        values, sigma = self.centre[which], self.sigma[which]
        return np.asarray(values + sigma * rng.standard_normal((count, *values.shape)))


def comparable(trials: Iterable[Trial], objectives: Iterable[str]) -> list[Trial]:
    """Return the trials that may be compared: complete, feasible, every objective fully paid for.

    A stopped or failed trial is never one, nor one whose metric was taken before its recipe ended.
    """
    names = tuple(objectives)
    return [trial for trial in trials if _is_comparable(trial, names)]


def _is_comparable(trial: Trial, names: Sequence[str]) -> bool:
    if trial.state != "complete" or any(excess > 0 for excess in trial.constraints.values()):
        return False
    return fully_paid(trial, names)


def fully_paid(trial: Trial, names: Sequence[str]) -> bool:
    """Whether a trial has every one of these metrics, each at the end of its recipe."""
    metrics = [trial.metrics.get(name) for name in names]
    return all(m is not None and (m.fidelity is None or m.fidelity.full) for m in metrics)


def oriented(trials: Sequence[Trial], objectives: Mapping[str, Direction]) -> Array:
    """Return the objectives' values with every sign such that less is better.

    Args:
        trials: Comparable trials.
        objectives: Direction by metric.

    Returns:
        Array of shape (trials, objectives).
    """
    rows = [[trial.metrics[name].value for name in objectives] for trial in trials]
    return np.asarray(rows, dtype=np.float64).reshape(-1, len(objectives)) * _signs(objectives)


def _signs(objectives: Mapping[str, Direction]) -> Array:
    return np.array([-1.0 if direction == "maximize" else 1.0 for direction in objectives.values()])


def non_dominated(points: Array) -> NDArray[np.bool_]:
    """Tell which points no other dominates; equal points do not dominate each other.

    Args:
        points: Shape (n, k), less is better.

    Returns:
        Booleans of shape (n,).
    """
    if not len(points):
        return np.zeros(0, dtype=np.bool_)
    unique, inverse = np.unique(points, axis=0, return_inverse=True)
    keep = np.zeros(len(unique), dtype=np.bool_)
    rows, rest = np.arange(len(unique)), np.ascontiguousarray(unique.T)
    while len(rows):  # in this order no point is dominated by one that comes after it
        keep[rows[0]] = True
        behind = np.logical_and.reduce(rest >= rest[:, :1])
        rows, rest = rows[~behind], rest[:, ~behind]
    return np.asarray(keep[inverse.reshape(-1)])


def dominates(points: Array, others: Array) -> NDArray[np.bool_]:
    """Tell, over the last axis, which points are nowhere worse than others and better once."""
    return np.asarray((points <= others).all(axis=-1) & (points < others).any(axis=-1))


def front(
    trials: Iterable[Trial],
    objectives: Mapping[str, Direction],
    *,
    beliefs: Believing | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> list[FrontMember]:
    """Find the front, each member with the probability that it is truly on it.

    Members are the trials that nothing dominates by value, as observed, and those that nothing
    dominates by what is believed of them: a lucky one is a member of small probability, and one
    that luck hid is a member too. ``p_front`` is the share of draws of every comparable trial's
    objectives in which no other trial dominates the member: draws from the beliefs, or, without
    them, each value from the normal distribution that its 95 % interval implies, independently; a
    metric without an interval is exact.

    Args:
        trials: Any trials; see :func:`comparable` for those that count.
        objectives: Direction by metric, one to four.
        beliefs: What is believed of the trials; None takes values as they were observed.
        seed: Seed of the draws.
        draws: Their number.

    Returns:
        The members, best first in the first objective.
    """
    candidates = comparable(trials, objectives)
    if not candidates or not objectives:
        return []
    values = oriented(candidates, objectives)
    sigma = np.array([[t.metrics[name].sigma for name in objectives] for t in candidates])
    cloud = _Observed(values, sigma) if beliefs is None else beliefs.cloud(candidates)
    members = np.flatnonzero(non_dominated(values) | non_dominated(cloud.centre))
    members = members[np.lexsort(values[members].T[::-1])]
    chances = _chances(cloud, members, seed, draws)
    return [
        FrontMember(candidates[index], float(chance))
        for index, chance in zip(members, chances, strict=True)
    ]


def _chances(cloud: Cloud, members: NDArray[np.intp], seed: int, draws: int) -> Array:
    """Return for each member the share of draws in which it is non-dominated."""
    if cloud.exact:
        return np.ones(len(members))
    rng = np.random.default_rng(seed)
    best, worst = cloud.ends(_REACH)
    rivals = [(best <= worst[member]).all(axis=1) for member in members]
    drawn_rows = np.flatnonzero(np.any(rivals, axis=0))  # of many trials few are near the front
    places = np.searchsorted(drawn_rows, members)
    near = [np.flatnonzero(rival[drawn_rows]) for rival in rivals]
    wins = np.zeros(len(members))
    for start in range(0, draws, _CHUNK):
        count = min(_CHUNK, draws - start)
        drawn = cloud.draw(count, rng, drawn_rows)
        for index, place in enumerate(places):
            beaten = dominates(drawn[:, near[index]], drawn[:, [place]]).any(axis=1)
            wins[index] += count - np.count_nonzero(beaten)
    return wins / draws


def reference_point(points: Array) -> Array:
    """Return a reference a tenth of the range beyond the worst value of each objective."""
    worst, best = points.max(axis=0), points.min(axis=0)
    span = worst - best
    return np.asarray(worst + 0.1 * np.where(span > 0, span, np.maximum(np.abs(worst), 1.0)))


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Measure, exactly, the space that points dominate up to a reference.

    One objective is a difference, two a sweep, more the recursion over exclusive volumes of While,
    Bradstreet and Barone, "A fast way of calculating exact hypervolumes" (2012).

    Args:
        points: Shape (n, k), less is better; those not better than the reference in every objective
            add nothing.
        reference: Shape (k,), 1 <= k <= 4.

    Returns:
        The volume in the product of the objectives' units.

    Raises:
        ValueError: If the shapes do not match or k is not 1 to 4.
    """
    corner = np.asarray(reference, dtype=np.float64)
    if corner.ndim != 1 or not 1 <= corner.size <= 4:
        raise ValueError(
            f"the reference has shape {corner.shape}; it must be (k,) with k from 1 to 4"
        )
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0:
        return 0.0
    if array.ndim != 2 or array.shape[1] != corner.size:
        raise ValueError(f"points of shape {array.shape} do not fit a reference of {corner.size}")
    return _volume(array[(array < corner).all(axis=1)], corner)


def _volume(points: Array, reference: Array) -> float:
    if len(points) == 0:
        return 0.0
    if reference.size == 1:
        return float(reference[0] - points.min())
    points = np.unique(points, axis=0)
    if reference.size == 2:
        return _sweep(points, reference)
    points = points[non_dominated(points)][::-1]
    total = 0.0
    for index in range(len(points)):
        total += _exclusive(points[index], points[index + 1 :], reference)
    return total


def _sweep(points: Array, reference: Array) -> float:
    """Sum the steps of points sorted by their first objective."""
    below = np.minimum.accumulate(points[:, 1])
    ends = np.append(points[1:, 0], reference[0])
    return float(((ends - points[:, 0]) * (reference[1] - below)).sum())


def _exclusive(point: Array, others: Array, reference: Array) -> float:
    """Return the volume that a point dominates and the others do not.

    Where all limited points share the value of a coordinate, that coordinate is a common factor.
    """
    inclusive = float(np.prod(reference - point))
    if len(others) == 0:
        return inclusive
    limited = np.maximum(others, point)
    shared = (limited == point).all(axis=0)
    if shared.all():
        return 0.0
    factor = float(np.prod((reference - point)[shared]))
    return inclusive - factor * _volume(limited[:, ~shared], reference[~shared])


def hypervolume_trace(
    trials: Iterable[Trial],
    objectives: Mapping[str, Direction],
    *,
    among: Iterable[Trial] | None = None,
) -> list[tuple[int, float]]:
    """Follow the hypervolume as trials are added in the order of their numbers.

    The volume is a share of the box between the best value seen of each objective and the
    reference, a tenth of the range beyond the worst; so it needs no units and lies in [0, 1].

    Args:
        trials: Any trials; only comparable ones add volume.
        objectives: Direction by metric.
        among: The trials that set the box, a superset where several runs are compared.

    Returns:
        ``(trial number, share)`` for each comparable trial.
    """
    ordered = sorted(comparable(trials, objectives), key=lambda trial: trial.number)
    if not ordered or not objectives:
        return []
    values = oriented(ordered, objectives)
    box = values if among is None else oriented(comparable(among, objectives), objectives)
    best, reference = box.min(axis=0), reference_point(box)
    scaled = (values - best) / (reference - best)
    return [(trial.number, share) for trial, share in zip(ordered, _shares(scaled), strict=True)]


def _shares(scaled: Array) -> list[float]:
    """Return the volume after each point, adding what each one alone dominates."""
    corner = np.ones(scaled.shape[1])
    kept = np.empty((0, scaled.shape[1]))
    total = 0.0
    shares = []
    for point in scaled:
        if not (kept <= point).all(axis=1).any():
            total += _exclusive(point, kept, corner)
            kept = np.vstack([kept[~(kept >= point).all(axis=1)], point])
        shares.append(total)
    return shares
