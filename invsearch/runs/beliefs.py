"""Beliefs: what is known of a trial's objectives once noise is taken away and neighbours are asked.

A trained value is the network's own and its seed's luck, and who looks best was often lucky. The
posterior of the true values weighs what was observed against what similar networks reached, by the
search's own model (:mod:`invsearch.surrogate`): the less surely a value is known, the more. A value
without noise is believed as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from invsearch.metrics import Direction, Metric
from invsearch.runs.features import features_of
from invsearch.runs.front import fully_paid, non_dominated, oriented
from invsearch.runs.reliability import Seeds, reliability
from invsearch.runs.trial import Trial

if TYPE_CHECKING:
    from invsearch.surrogate.truth import TrueValues

__all__ = ["ENOUGH", "Belief", "Beliefs", "believe"]

Array = NDArray[np.float64]

ENOUGH = 5  # trials: where the strategy begins to model, too
_MODELLED = 400  # trials of one joint posterior: a second to fit; the others are asked one by one


@dataclass(frozen=True)
class Belief:
    """What is believed of one metric of one trial.

    Attributes:
        value: The posterior's median.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


class Beliefs:
    """The posterior of the objectives of a run's complete trials.

    Args:
        numbers: Those of the trials.
        objectives: Direction by metric.
        observed: Their values, less is better, (trials, objectives).
        models: By column of ``observed``, the posterior of what is not known exactly.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        objectives: Mapping[str, Direction],
        observed: Array,
        models: Mapping[int, TrueValues],
    ) -> None:
        self._rows = {number: row for row, number in enumerate(numbers)}
        self._names, self._models = tuple(objectives), models
        self._signs = np.array([-1.0 if d == "maximize" else 1.0 for d in objectives.values()])
        self._centre = _replaced(observed, {m: model.centre for m, model in models.items()})

    @property
    def uncertain(self) -> tuple[str, ...]:
        """The objectives that are not known exactly."""
        return tuple(self._names[column] for column in sorted(self._models))

    def of(self, number: int) -> dict[str, Belief]:
        """What is believed of a trial, by objective; empty where it is none of those."""
        row = self._rows.get(number)
        if row is None:
            return {}
        found = {}
        for column, name in enumerate(self._names):
            model, sign = self._models.get(column), self._signs[column]
            value = sign * self._centre[row, column]
            ends = sorted(sign * end[row] for end in (model.low, model.high)) if model else ()
            low, high = ends or (value, value)
            found[name] = Belief(float(value), float(low), float(high))
        return found

    def applied(self, trial: Trial) -> Trial:
        """The trial with what is believed in place of what was observed, where that was noisy."""
        believed = self.of(trial.number)
        return trial.with_metrics(
            {
                name: replace(trial.metrics[name], value=one.value, low=one.low, high=one.high)
                for name, one in believed.items()
                if name in self.uncertain
            }
        )

    def cloud(self, trials: Sequence[Trial]) -> BelievedCloud:
        """The posterior of these trials' objectives, all of them complete, less is better."""
        return BelievedCloud(self, np.array([self._rows[t.number] for t in trials], dtype=np.intp))

    def draw(self, count: int, rng: np.random.Generator, rows: NDArray[np.intp]) -> Array:
        """Draws from the joint posterior of these rows: (count, rows, objectives)."""
        drawn = np.broadcast_to(self._centre[rows], (count, len(rows), len(self._names))).copy()
        for column, model in self._models.items():
            drawn[:, :, column] = model.draw(count, rng)[:, rows]
        return drawn

    def ends(self, deviations: float, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        """The best and the worst that so many deviations reach: (rows, objectives) each."""
        reach = {column: model.reach(deviations) for column, model in self._models.items()}
        best = _replaced(self._centre, {column: ends[0] for column, ends in reach.items()})
        worst = _replaced(self._centre, {column: ends[1] for column, ends in reach.items()})
        return best[rows], worst[rows]

    def centre(self, rows: NDArray[np.intp]) -> Array:
        """Posterior medians, less is better: (rows, objectives)."""
        return np.asarray(self._centre[rows])


@dataclass(frozen=True)
class BelievedCloud:
    """The posterior of some of the trials, as :class:`invsearch.runs.front.Cloud` asks for it."""

    beliefs: Beliefs
    rows: NDArray[np.intp]

    @property
    def centre(self) -> Array:
        return self.beliefs.centre(self.rows)

    @property
    def exact(self) -> bool:
        return not self.beliefs.uncertain

    def ends(self, deviations: float) -> tuple[Array, Array]:
        return self.beliefs.ends(deviations, self.rows)

    def draw(self, count: int, rng: np.random.Generator, which: NDArray[np.intp]) -> Array:
        return self.beliefs.draw(count, rng, self.rows[which])


def believe(
    trials: Sequence[Trial], objectives: Mapping[str, Direction], seeds: Seeds
) -> Beliefs | None:
    """Weigh what was observed of complete trials against what others say of them.

    Args:
        trials: Of the run, replicates folded in.
        objectives: Direction by metric.
        seeds: What each seed of a trial reached, by trained metric.

    Returns:
        None where nothing is noisy, fewer than :data:`ENOUGH` trials are complete, or their values
        are too far apart to be modelled: what was observed stands.
    """
    known = [t for t in trials if t.state == "complete" and fully_paid(t, tuple(objectives))]
    if len(known) < ENOUGH or not objectives:
        return None
    try:
        with np.errstate(all="ignore"):
            return _believe(known, objectives, seeds)
    except (ValueError, OverflowError, np.linalg.LinAlgError):  # such as a loss of 1e300
        return None


def _believe(
    known: Sequence[Trial], objectives: Mapping[str, Direction], seeds: Seeds
) -> Beliefs | None:
    noise = {
        name: _variances([t.metrics[name] for t in known], seeds.get(name, {}))
        for name in objectives
    }
    observed = oriented(known, objectives)
    noisy = [m for m, name in enumerate(objectives) if noise[name].any() and np.ptp(observed[:, m])]
    if not noisy:
        return None
    exact = [name for name in objectives if not noise[name].any()]
    models = _models(known, objectives, observed, noise, noisy, exact)
    if not all(np.isfinite([m.centre, m.low, m.high]).all() for m in models.values()):
        return None
    return Beliefs([trial.number for trial in known], objectives, observed, models)


def _models(
    known: Sequence[Trial],
    objectives: Mapping[str, Direction],
    observed: Array,
    noise: Mapping[str, Array],
    noisy: Sequence[int],
    exact: Sequence[str],
) -> dict[int, TrueValues]:
    from invsearch.surrogate.surrogate import log_offset
    from invsearch.surrogate.threads import one_thread
    from invsearch.surrogate.truth import TrueValues

    names, models = tuple(objectives), dict[int, TrueValues]()
    x, modelled = features_of(known, exact), _modelled(observed)
    with one_thread():
        for column in noisy:
            values = observed[:, column]
            models[column] = TrueValues(
                x,
                values,
                noise[names[column]],
                modelled=modelled,
                offset=log_offset(values, maximised=objectives[names[column]] == "maximize"),
            )
    return models


def _variances(metrics: Sequence[Metric], seeds: Mapping[int, Sequence[float]]) -> Array:
    """The variance of each value about the trial's true one: (trials,).

    As where seeds are folded into a mean, that of one seed is the larger of what lies between the
    seeds, here pooled over all trials that have several, and what the interval of a value says.
    """
    own = np.array([metric.sigma for metric in metrics]) ** 2
    counts = np.array([metric.n for metric in metrics])
    told = reliability(seeds.values())
    repeated = counts > 1
    between = 0.0
    if told is not None:
        between = told.seed_sd**2
    elif repeated.any():
        between = float((own * counts)[repeated].mean())
    single = own.copy()
    single[repeated] = np.median(own[~repeated]) if (~repeated).any() else 0.0
    return np.asarray(np.maximum(single, between) / counts)


def _modelled(observed: Array) -> NDArray[np.intp]:
    """The rows of one joint posterior: the first fronts, and of the others evenly by number."""
    everything = np.arange(len(observed))
    if len(observed) <= _MODELLED:
        return everything
    near, rest = list[int](), everything
    while len(near) < _MODELLED // 2:
        layer = non_dominated(observed[rest])
        near += rest[layer].tolist()
        rest = rest[~layer]
    near = near[: _MODELLED // 2]
    others = np.setdiff1d(everything, near)
    even = others[np.linspace(0, len(others) - 1, _MODELLED - len(near)).astype(int)]
    return np.union1d(near, even)


def _replaced(values: Array, columns: Mapping[int, Array]) -> Array:
    changed = values.copy()
    for column, new in columns.items():
        changed[:, column] = new
    return changed
