"""From what the trials say to the models, and from these to the acquisition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.search.sampler.acquisition import Acquisition, undominated_region
from invsearch.search.sampler.catalogue import Catalogue, Points
from invsearch.search.sampler.history import History, Record
from invsearch.search.sampler.subset import modelled
from invsearch.surrogate.kernel import Hyperparameters
from invsearch.surrogate.surrogate import FIT_POINTS, Surrogate, log_offset

__all__ = ["Models"]

Array = NDArray[np.float64]

_HUGE = 1e300  # of a constraint: what is beyond is no size, and twice it no number

# Iterations of a fit: the first one, a later one from the last, the same of many trials.
_COLD, _WARM, _WARM_MANY = 30, 10, 5
_MANY = 150  # trials that one more changes little
_FEW = 100  # points of a bound's model, which tells on which side of it a point is
_RECENT = 10  # trials whose failures make a proposal careful
_DIGITS = 4  # of a logarithm: what the next fit starts from, kept with every trial
# Power of the probability of success without a recent failure, and its growth with each: at two in
# ten only what is next to a success is proposed.
_CAUTION, _CAUTION_EACH = 4, 8
_MARGIN = 1e-3  # beyond the worst known cost, so that the dearest point still adds volume
# Beyond the worst seen or foretold, in deviations: without costs the ends are not known. The worst
# seen alone left both ends of NAS-Bench-Macro unfound in one search of ten. A tenth found as much
# after 100 trials there and on two graphs of NAS-Bench-Graph, and less of one after 30 (.83, .88).
_MARGIN_BLIND = 0.5


class Models:
    """A model of each objective not known beforehand, fitted to a history.

    The hyperparameters start from those of the latest proposal and are kept where no trial ended
    since, so that a batch of proposals shares them.

    Attributes:
        surrogates: By objective.
    """

    def __init__(self, catalogue: Catalogue, history: History) -> None:
        self._catalogue, self._count = catalogue, len(history.evaluated)
        self._history = history = modelled(history)
        self._evaluated = catalogue.points(catalogue.stack(history.evaluated))
        values = np.array([r.values for r in history.evaluated])
        variances = np.array([r.sigma for r in history.evaluated]) ** 2
        self.surrogates = {
            m: self._surrogate(m, values[:, m], variances[:, m]) for m in catalogue.unknown
        }

    def hyperparameters(self) -> dict[str, Any]:
        """The fitted hyperparameters, JSON-able."""
        kept = {
            str(m): s.hyperparameters.pack().round(_DIGITS).tolist()
            for m, s in self.surrogates.items()
        }
        return {**kept, "count": [float(self._count)]}

    def acquisition(self, free: Points) -> Acquisition:
        """What scores the candidates ``free``."""
        catalogue, history = self._catalogue, self._history
        feasible = np.array([r.feasible for r in history.evaluated], dtype=bool)
        pending = catalogue.points(history.pending)
        incumbents = {}
        for m, cost in catalogue.warped(self._evaluated).items():
            incumbents[m] = np.concatenate([cost[feasible], catalogue.warped(pending)[m]])
        for m, model in self.surrogates.items():
            # by posterior means, so that noise does not make an incumbent look better than it is
            known = model.estimates()[: len(feasible)][feasible]
            incumbents[m] = np.concatenate([known, model.process.mean(pending.features)])
        return Acquisition(
            undominated_region(incumbents, self._reference(incumbents, free)),
            self.surrogates,
            pending.features,
            self._limits(),
            self._failure(),
            self._caution(),
        )

    def _surrogate(self, m: int, values: Array, variances: Array) -> Surrogate:
        catalogue, history = self._catalogue, self._history
        kept = history.hyperparameters.get(str(m))
        start = Hyperparameters.prior(self._evaluated.features).unpack(np.array(kept or ()))
        same = history.hyperparameters.get("count") == [float(self._count)]
        warm = _WARM if len(values) < _MANY else _WARM_MANY
        offset = log_offset(values, maximised=catalogue.signs[m] < 0)
        rows, found, variance = history.stopped_values(m, offset)
        x = self._evaluated.features
        return Surrogate(
            x.joined(catalogue.points(rows).features) if len(rows) else x,
            np.concatenate([values, found]),
            np.concatenate([variances, variance]),
            offset=offset,
            start=start,
            fit_points=int(FIT_POINTS / len(catalogue.unknown) ** 0.5),
            iterations=_COLD if start is None else 0 if same else warm,
            robust=True,
        )

    def _reference(self, incumbents: Mapping[int, Array], free: Points) -> Array:
        """The worst corner of the hypervolume: (objectives,)."""
        catalogue = self._catalogue
        reference = np.empty(len(catalogue.signs))
        ends = catalogue.warped(catalogue.points(catalogue.reference[:2]))
        for m, costs in catalogue.warped(free).items():
            seen = np.concatenate([incumbents[m], ends[m]])
            reference[m] = max(seen.max(), costs.max()) + _MARGIN
        if catalogue.known:
            for m, model in self.surrogates.items():
                reference[m] = model.worst + _MARGIN
            return reference
        far = self._foretold_ends(incumbents, free)
        for m, model in self.surrogates.items():
            reference[m] = max(model.worst, far[m]) + _MARGIN_BLIND
        return reference

    def _foretold_ends(self, incumbents: Mapping[int, Array], free: Points) -> Array:
        """The worst that is foretold of the ends of the front not seen yet: (objectives,).

        The best network by one objective is on the front whatever its others are, and a reference
        nearer than these makes it worth nothing.
        """
        worst = np.full(len(self._catalogue.signs), -np.inf)
        means = {m: s.process.mean(free.features) for m, s in self.surrogates.items()}
        for objective, mean in means.items():
            end = int(np.argmin(mean))
            if mean[end] < incumbents[objective].min(initial=np.inf):
                for m in means.keys() - {objective}:
                    worst[m] = max(worst[m], means[m][end])
        return worst

    def _limits(self) -> list[Surrogate]:
        """Models of every measured constraint that some trial violated."""
        history, limits = self._history, []
        broken = {n for r in history.evaluated for n, v in r.violations.items() if v > 0}
        for name in sorted(broken):
            records = [r for r in history.evaluated if name in r.violations]
            limits.append(self._limit(records, _bounded([r.violations[name] for r in records])))
        return limits

    def _failure(self) -> Surrogate | None:
        """A model of failure, where some trial failed.

        It is regressed on as a label: -0.5 where a trial was evaluated, 0.5 where it failed
        (least-squares classification, Rasmussen and Williams, section 6.5).
        """
        failed = self._history.failed
        if not failed:
            return None
        alive = self._history.evaluated + self._history.stopped
        labels = [-0.5] * len(alive) + [0.5] * len(failed)
        return self._limit(alive + failed, labels)

    def _caution(self) -> float:
        """Power of the probability of success, from how many of the last trials failed.

        A region of large gains that always fails looks worth a try again and again, and the more of
        it is left the longer. Each recent failure makes the next proposal keep further away.
        """
        history = self._history
        ended = history.evaluated + history.stopped + history.failed
        failed = {record.number for record in history.failed}
        recent = sorted(record.number for record in ended)[-_RECENT:]
        return float(_CAUTION * _CAUTION_EACH ** sum(number in failed for number in recent))

    def _limit(self, records: Sequence[Record], values: Sequence[float] | Array) -> Surrogate:
        x = self._catalogue.points(self._catalogue.stack(records)).features
        noise = np.zeros(len(values))
        return Surrogate(x, np.array(values), noise, iterations=_WARM, fit_points=_FEW)


def _bounded(violations: Sequence[float]) -> Array:
    """Violations with what is not finite as bad, or as good, as the worst and the best that is."""
    found = np.array(violations)
    finite = found[np.abs(found) < _HUGE]
    low, high = min(finite.min(initial=0.0), 0.0), finite.max(initial=0.0)
    return np.where(np.abs(found) < _HUGE, found, np.where(found < 0, low, high or 1.0))
