"""What a study's trials say, as arrays.

User attributes that a trial may carry (all optional):

``sigma``
    Standard error of each objective's value, a list in the order of the directions (None: unknown).
``partial``
    On a stopped (pruned) trial, ``{"fidelity": 0.25, "values": [...]}``: its values when it was
    stopped. On a complete trial, ``rungs``: ``{"0.25": [...]}``, its values at that fidelity. A
    stopped trial informs the models through the mean change between its rung and the end on the
    complete trials that recorded the same rung; without any such trial its values are left aside.
``orphan``
    True on a trial that failed because its process was killed: it says nothing about its point.
``retry_of``
    The number of the trial that this one repeats, which is an orphan then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from invsearch.errors import InputError

__all__ = ["HYPERPARAMETERS", "History", "Reader", "Record"]

Array = NDArray[np.float64]

HYPERPARAMETERS = "invsearch:hyperparameters"


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
    """

    number: int
    state: TrialState
    row: Array
    values: Array
    sigma: Array
    violations: Mapping[str, float] = field(default_factory=dict)
    partial: tuple[float, Array] | None = None
    rungs: Mapping[float, Array] = field(default_factory=dict)

    @cached_property
    def key(self) -> bytes:
        """Equal exactly for equal points."""
        return self.row.tobytes()

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
        seen: Keys of all points above: never proposed again.
        hyperparameters: Of the latest modelled proposal, as it stored them; empty at first.
    """

    evaluated: list[Record]
    failed: list[Record]
    stopped: list[Record]
    pending: Array
    everything: list[Record]
    seen: set[bytes]
    hyperparameters: Mapping[str, Any]

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

    def stopped_values(self, objective: int, *, log: bool) -> tuple[Array, Array, Array]:
        """What stopped trials would have reached: rows, values and their variances.

        The change from a rung to the end is the mean over the complete trials that recorded the
        rung (two at least), as a factor where ``log``; its variance is the estimate's.
        """
        rows, values, variances = [], [], []
        for record in self.stopped:
            if record.partial is None or not np.isfinite(record.partial[1][objective]):
                continue
            fidelity, partial = record.partial
            change = self._changes(fidelity, objective, log)
            value = float(partial[objective])
            if len(change) < 2 or (log and value <= 0):
                continue
            mean, variance = float(change.mean()), float(change.var(ddof=1))
            end = value * float(np.exp(mean)) if log else value + mean
            rows.append(record.row)
            values.append(end)
            variances.append(variance * (end * end if log else 1.0))
        width = self.pending.shape[1]
        return np.array(rows).reshape(-1, width), np.array(values), np.array(variances)

    def _changes(self, fidelity: float, objective: int, log: bool) -> Array:
        pairs = [
            (r.values[objective], r.rungs[fidelity][objective])
            for r in self.evaluated
            if fidelity in r.rungs and np.isfinite(r.rungs[fidelity][objective])
        ]
        if log:
            return np.array([math.log(end / at) for end, at in pairs if end > 0 and at > 0])
        return np.array([end - at for end, at in pairs])


class Reader:
    """Reads trials, each finished one once."""

    def __init__(self, row: Callable[[Mapping[str, Any]], Array], width: int, signs: Array) -> None:
        """Args:
        row: Gives the canonical row of a trial's parameters.
        width: Parameters in a row.
        signs: (objectives,), 1 where minimised and -1 where maximised.
        """
        self._row, self._width, self._signs = row, width, signs
        self._finished: dict[int, tuple[FrozenTrial, Record]] = {}

    def read(
        self, trials: Iterable[FrozenTrial], proposed: Mapping[int, Array], skip: int = -1
    ) -> History:
        """Sort out ``trials``.

        Args:
            trials: Of the study.
            proposed: Points handed out, by trial number: a running trial may not have stored its
                parameters yet.
            skip: The number of the trial that asks.
        """
        trials = list(trials)
        orphans = {t.user_attrs["retry_of"] for t in trials if "retry_of" in t.user_attrs}
        evaluated, failed, stopped, pending = [], [], [], []
        for trial in trials:
            if trial.number == skip:
                continue
            record = self._record(trial, proposed)
            if not record.placed:
                continue
            if not trial.state.is_finished():
                pending.append(record)
            elif record.evaluated:
                evaluated.append(record)
            elif trial.state == TrialState.PRUNED:
                stopped.append(record)
            elif trial.number not in orphans and not trial.user_attrs.get("orphan"):
                failed.append(record)
        kept = [t for t in trials if HYPERPARAMETERS in t.system_attrs and t.number != skip]
        latest = max(kept, key=lambda t: t.number, default=None)
        hyperparameters = latest.system_attrs[HYPERPARAMETERS] if latest is not None else {}
        everything = evaluated + failed + stopped + pending
        return History(
            evaluated,
            failed,
            stopped,
            np.array([r.row for r in pending]).reshape(len(pending), self._width),
            everything,
            {r.key for r in everything},
            hyperparameters,
        )

    def _record(self, trial: FrozenTrial, proposed: Mapping[int, Array]) -> Record:
        cached = self._finished.get(trial.number)
        if cached is not None and cached[0] is trial:
            return cached[1]
        record = self._parse(trial, proposed)
        if trial.state.is_finished():
            self._finished[trial.number] = (trial, record)
        return record

    def _parse(self, trial: FrozenTrial, proposed: Mapping[int, Array]) -> Record:
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        if not trial.state.is_finished() and trial.number in proposed:
            row = proposed[trial.number]
        else:
            try:
                row = self._row(params)
            except (KeyError, ValueError, InputError):
                row = np.full(self._width, np.nan)
        attrs = trial.user_attrs
        partial = attrs.get("partial")
        return Record(
            trial.number,
            trial.state,
            row,
            self._minimised(trial.values),
            np.nan_to_num(np.abs(self._minimised(attrs.get("sigma")))),
            trial.constraints,
            None
            if not partial
            else (float(partial["fidelity"]), self._minimised(partial.get("values"))),
            {float(f): self._minimised(v) for f, v in attrs.get("rungs", {}).items()},
        )

    def _minimised(self, values: Sequence[float | None] | None) -> Array:
        if values is None or len(values) != len(self._signs):
            return np.full(len(self._signs), np.nan)
        found = np.array([math.nan if v is None else float(v) for v in values])
        return np.asarray(self._signs * found)
