"""What a study's trials say, as arrays (:mod:`~invsearch.search.sampler.reader` reads them)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState

__all__ = ["History", "Record"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """One trial.

    Attributes:
        number: Of the trial.
        state: Its state.
        row: (parameters,), its canonical point; NaN where a parameter is inactive.
        values: (objectives,), minimised; NaN where unknown.
        sigma: (objectives,), standard errors; 0 where unknown.
        violations: By constraint, above 0 where it is violated.
        partial: Fidelity and minimised values of a stopped trial.
        rungs: Minimised values of a complete trial at lower fidelities.
        unasked: (parameters,), which of them it was proposed and its objective never asked for;
            None for none.
        proposed: (parameters,), the point that it was proposed where that is another, empty where
            it is not: Optuna puts values of its own where the objective asks for another range.
    """

    number: int
    state: TrialState
    row: Array
    values: Array
    sigma: Array
    violations: Mapping[str, float] = field(default_factory=dict)
    partial: tuple[float, Array] | None = None
    rungs: Mapping[float, Array] = field(default_factory=dict)
    unasked: NDArray[np.bool_] | None = None
    proposed: Array = field(default_factory=lambda: np.empty(0))

    @cached_property
    def key(self) -> bytes:
        """Equal exactly for equal points."""
        return self.row.tobytes()

    def covers(self, rows: Array) -> NDArray[np.bool_]:
        """Which rows are this point in all that its objective asked for: (n,)."""
        asked = slice(None) if self.unasked is None else ~self.unasked
        same = rows[:, asked] == self.row[asked]
        both_inactive = np.isnan(rows[:, asked]) & np.isnan(self.row[asked])
        return np.asarray((same | both_inactive).all(axis=1))

    @cached_property
    def placed(self) -> bool:
        """Whether the trial has any of the space's parameters."""
        return not len(self.row) or not bool(np.isnan(self.row).all())

    @cached_property
    def evaluated(self) -> bool:
        """Complete, with every value a finite number."""
        return self.state == TrialState.COMPLETE and bool(np.isfinite(self.values).all())

    @cached_property
    def feasible(self) -> bool:
        """Whether every measured constraint is met."""
        return all(violation <= 0 for violation in self.violations.values())


@dataclass(frozen=True)
class History:
    """The records of a study, sorted out.

    Attributes:
        evaluated: Complete trials with finite values.
        failed: Trials whose point failed, values that are not finite included.
        stopped: Pruned trials.
        pending: (n, parameters), points that are running or queued.
        everything: All of these.
        seen: Keys of all points above and of what was proposed for them: never proposed again.
        partly_asked: Those whose objectives ended without asking for every parameter: what differs
            from them in the others alone is the same, and not proposed either.
        hyperparameters: Of the latest modelled proposal, as it stored them; empty at first.
    """

    evaluated: list[Record]
    failed: list[Record]
    stopped: list[Record]
    pending: Array
    everything: list[Record]
    seen: set[bytes]
    hyperparameters: Mapping[str, Any]
    partly_asked: list[Record] = field(default_factory=list)

    def new(self, rows: Array, keys: Sequence[bytes] | None = None) -> NDArray[np.bool_]:
        """Which points were never proposed: (n,).

        Args:
            rows: (n, parameters).
            keys: Theirs, where they are at hand.
        """
        keys = [row.tobytes() for row in rows] if keys is None else keys
        new = np.array([key not in self.seen for key in keys], dtype=bool)
        for record in self.partly_asked:
            new &= ~record.covers(rows)
        return new

    @property
    def bad(self) -> list[Record]:
        """Trials that broke a measured constraint, or failed and did not end well elsewhere."""
        ended = {record.key for record in self.evaluated} if self.failed else set()
        failed = [record for record in self.failed if record.key not in ended]
        return failed + [r for r in self.evaluated if r.violations and not r.feasible]

    @property
    def started(self) -> int:
        """How many trials have a point."""
        return len(self.everything)

    def with_pending(self, row: Array, hyperparameters: Mapping[str, Any] | None) -> History:
        """This with one more pending point."""
        blank = np.empty(0)
        record = Record(-1, TrialState.RUNNING, row, blank, blank)
        return replace(
            self,
            pending=np.concatenate([self.pending, row[None]]),
            everything=[*self.everything, record],
            seen=self.seen | {row.tobytes()},
            hyperparameters=hyperparameters or self.hyperparameters,
        )

    def stopped_values(
        self, objective: int, offset: float | None = None
    ) -> tuple[Array, Array, Array]:
        """What stopped trials would have reached: rows, values and their variances.

        The change from a rung to the end is the mean over the complete trials that recorded the
        rung (two at least); its variance is the estimate's.

        Args:
            objective: Its column.
            offset: Changes are factors of ``value - offset``, as the objective is modelled; None:
                they are differences.
        """
        zero = offset or 0.0
        rows, values, variances = [], [], []
        changes: dict[float, Array] = {}
        for record in self.stopped:
            if record.partial is None or not np.isfinite(record.partial[1][objective]):
                continue
            fidelity, partial = record.partial
            if fidelity not in changes:
                changes[fidelity] = self._changes(fidelity, objective, offset)
            change = changes[fidelity]
            value = float(partial[objective]) - zero
            if len(change) < 2 or (offset is not None and value <= 0):
                continue
            mean, variance = float(change.mean()), float(change.var(ddof=1))
            end = value + mean if offset is None else value * math.exp(mean)
            rows.append(record.row)
            values.append(end + zero)
            variances.append(variance * (1.0 if offset is None else end * end))
        width = self.pending.shape[1]
        return np.array(rows).reshape(-1, width), np.array(values), np.array(variances)

    def _changes(self, fidelity: float, objective: int, offset: float | None) -> Array:
        zero = offset or 0.0
        reached = [(r, r.rungs[fidelity][objective]) for r in self.evaluated if fidelity in r.rungs]
        pairs = [(r.values[objective] - zero, at - zero) for r, at in reached if math.isfinite(at)]
        if offset is None:
            return np.array([end - at for end, at in pairs])
        return np.array([math.log(end / at) for end, at in pairs if end > 0 and at > 0])
