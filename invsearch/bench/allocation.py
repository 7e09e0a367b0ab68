"""Who is trained on, by the hypervolume that is expected of it for each epoch: tried on LCBench.

Every training pauses at each rung. The error at the end is the one at the first rung times the
changes from rung to rung, on a logarithm a sum of independent Gaussian processes over the space
(recursive co-kriging with a ratio of one: Le Gratiet and Garnier 2014): what a rung has shown is
known, the rest is foretold, for paused points and new ones alike. Then whoever has the most
expected hypervolume for an expected epoch goes to its next rung (pausing and going on by a model:
freeze-thaw, Swersky, Snoek and Adams 2014). A search of this project does not do so: the figures
in ``results/bench-fidelity.json`` did not pass their gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from invsearch.bench.lcbench import EPOCHS, LCBench, costs
from invsearch.search.sampler.acquisition import undominated_region
from invsearch.search.sampler.boxes import UndominatedBoxes, non_dominated
from invsearch.search.sampler.candidates import unique_rows
from invsearch.search.sampler.catalogue import Catalogue, Points
from invsearch.search.sampler.ehvi import Marginal, expected_gain
from invsearch.search.sampler.start import start_point
from invsearch.surrogate.kernel import Features, Hyperparameters
from invsearch.surrogate.surrogate import Surrogate

__all__ = ["Allocation"]

Array = NDArray[np.float64]

_START, _WHOLE = 8, 3  # trainings to the first rung, and of these to the end, before the models
_COLD, _WARM, _FIT_POINTS = 30, 8, 150  # iterations of a fit and its points, as the sampler's
_PARENTS = 8  # at least, from which candidates are bred
_LEAST = 1e-10  # a variance, where a training is complete
_MARGIN = 1e-3  # beyond the worst, so that the dearest point still adds volume


@dataclass
class _Training:
    row: Array
    logs: Array  # of the errors at the rungs and the end
    weights: float
    level: int = -1  # the last rung it came to


class Allocation:
    """A search of one task of LCBench.

    Args:
        problem: The task.
        rungs: Epochs at which trainings pause.
        seed: Of every draw.

    Attributes:
        epochs: Spent so far.
        reached: For each training that was complete: epochs so far, error and weights.
    """

    def __init__(self, problem: LCBench, rungs: Sequence[int], seed: int) -> None:
        self.epochs = 0
        self.reached: list[tuple[int, float, float]] = []
        self._problem, self._seed, self._asks = problem, seed, 0
        self._ends = np.array([*rungs, EPOCHS])
        self._kept: list[Hyperparameters | None] = [None] * len(self._ends)
        self._trainings: list[_Training] = []
        space = problem.space
        self._catalogue = Catalogue(
            {one.name: one.distribution() for one in space.parameters},
            np.ones(2),
            seed,
            costs=lambda values: {1: costs(values)["weights"]},
            canonical=lambda values: space.canonical(values).to_json(),
            candidates=lambda rng, count: [space.sample(rng).to_json() for _ in range(count)],
        )

    def step(self) -> None:
        """Train somebody to the next rung; at first a few to the end."""
        self._asks += 1
        known = self._trainings
        if len(known) < _START:
            self._train(self._new(self._spread()))
            return
        left = _WHOLE - len(self.reached)
        if left > 0:  # the best of the cheaper ones, then of dearer ones
            paused = sorted((t for t in known if not self._done(t)), key=lambda t: t.weights)
            first = min(paused[: -(-len(paused) // left)], key=lambda t: float(t.logs[0]))
            while not self._done(first):
                self._train(first)
            return
        self._train(self._chosen())

    def _done(self, training: _Training) -> bool:
        return training.level == len(self._ends) - 1

    def _new(self, row: Array) -> _Training:
        values = self._problem.space.canonical(self._catalogue.encoder.params(row)).to_json()
        errors = self._problem.surrogate.errors([values])[0]
        training = _Training(row, np.log(errors[self._ends - 1]), costs(values)["weights"])
        self._trainings.append(training)
        return training

    def _train(self, training: _Training) -> None:
        before = self._ends[training.level] if training.level >= 0 else 0
        training.level += 1
        self.epochs += int(self._ends[training.level] - before)
        if self._done(training):
            error = float(np.exp(training.logs[-1]))
            self.reached.append((self.epochs, error, training.weights))

    def _spread(self) -> Array:
        """A row of the start: the ends of the cost, and between them."""
        catalogue, taken = self._catalogue, len(self._trainings)
        free = catalogue.points(catalogue.space.pool(self._seed, self._asks, self._rows()[:0]))
        columns = catalogue.points(self._rows()).features.columns
        rng = np.random.default_rng([self._seed, self._asks, 0])
        chosen = start_point(free.features.columns, columns, catalogue.cost(free.rows), taken, rng)
        return np.asarray(free.rows[chosen])

    def _rows(self) -> Array:
        rows = [training.row for training in self._trainings]
        return np.array(rows).reshape(-1, self._catalogue.reference.shape[1])

    def _chosen(self) -> _Training:
        """Of the paused trainings and new points the best by the index."""
        catalogue, trainings = self._catalogue, self._trainings
        points = catalogue.points(self._rows())
        levels = np.array([training.level for training in trainings])
        logs = np.stack([training.logs for training in trainings])
        changes = self._changes(points.features, levels, logs)
        ends = _foretold(changes, points.features, levels, logs[np.arange(len(logs)), levels])
        free = self._candidates(ends.mean, points)
        new = _foretold(changes, free.features, np.full(len(free), -1), np.zeros(len(free)))

        paused = np.flatnonzero(levels < len(self._ends) - 1)
        of = Marginal(
            np.concatenate([ends.mean[paused], new.mean]),
            np.concatenate([ends.deviation[paused], new.deviation]),
        )
        weights = catalogue.warped(points)[1]
        cost = np.concatenate([weights[paused], catalogue.warped(free)[1]])
        at = np.concatenate([levels[paused], np.full(len(free), -1)])
        done = levels == len(self._ends) - 1
        front = {0: ends.mean[done], 1: weights[done]}
        best = int(np.argmax(self._index(of, cost, at, front, float(ends.mean.max()))))
        return trainings[paused[best]] if best < len(paused) else self._new(
            free.rows[best - len(paused)]
        )  # fmt: skip

    def _index(
        self, of: Marginal, cost: Array, at: NDArray[Any], front: Mapping[int, Array], worst: float
    ) -> Array:
        """The expected hypervolume for an expected epoch: those to the next rung, then the rest.

        The rest is spent with the probability that it leads below every complete training that
        costs no more.
        """
        reference = np.array([worst, max(cost.max(), front[1].max())]) + _MARGIN
        boxes: UndominatedBoxes = undominated_region(front, reference)
        gain = expected_gain(boxes, {1: cost}, {0: of})
        beaten = np.where(front[1][None] <= cost[:, None], front[0][None], reference[0])
        likely = ndtr((beaten.min(axis=1) - of.mean) / of.deviation)
        here = np.where(at >= 0, self._ends[np.maximum(at, 0)], 0)
        following = self._ends[at + 1]
        return np.asarray(gain / (following - here + likely * (EPOCHS - following)))

    def _changes(self, at: Features, levels: NDArray[Any], logs: Array) -> list[Surrogate]:
        """A model of the logarithm at the first rung, and of its change to each later one."""
        models = []
        for level, kept in enumerate(self._kept):
            seen = np.flatnonzero(levels >= level)
            change = logs[seen, level] - (logs[seen, level - 1] if level else 0.0)
            models.append(
                Surrogate(
                    at[seen], change, np.zeros(len(seen)), start=kept, fit_points=_FIT_POINTS,
                    iterations=_COLD if kept is None else _WARM,
                )
            )  # fmt: skip
            self._kept[level] = models[-1].hyperparameters
        return models

    def _candidates(self, ends: Array, known: Points) -> Points:
        """New points: random ones, and such as are bred from the foretold front."""
        catalogue = self._catalogue
        values = np.stack([ends, known.raw[:, 0]], axis=1)
        front = non_dominated(values)
        ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0).sum(axis=1)
        front[np.argsort(ranks, kind="stable")[: max(0, _PARENTS - int(front.sum()))]] = True
        rows = catalogue.space.pool(self._seed, self._asks, unique_rows(known.rows[front]))
        rows = unique_rows(np.concatenate([catalogue.reference[:2], rows]))
        seen = {row.tobytes() for row in known.rows}
        return catalogue.points(rows[[row.tobytes() not in seen for row in rows]])


def _foretold(
    changes: Sequence[Surrogate], at: Features, levels: NDArray[Any], known: Array
) -> Marginal:
    """The logarithms of the errors at the end, from those ``known`` at a level (-1: none)."""
    mean, variance = known.astype(float), np.zeros(len(known))
    for level, model in enumerate(changes):
        unseen = levels < level
        centre, deviation = model.process.predict(at)
        mean = mean + unseen * (centre * model.scale.spread + model.scale.centre)
        variance = variance + unseen * (deviation * model.scale.spread) ** 2
    return Marginal(mean, np.sqrt(np.maximum(variance, _LEAST)))
