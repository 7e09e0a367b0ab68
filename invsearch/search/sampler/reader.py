"""Reads a study's trials, each finished one once.

User attributes that a trial may carry (all optional):

``sigma``
    Standard error of each objective's value, a list in the order of the directions (None: unknown).
``partial``
    On a stopped (pruned) trial, ``{"fidelity": 0.25, "values": [...]}``: its values when it was
    stopped. On a complete trial, ``rungs``: ``{"0.25": [...]}``, its values at that fidelity. A
    stopped trial informs the models through the mean change between its rung and the end on the
    complete trials that recorded the same rung; without any such trial its values are left aside.
    In a study of one objective without these attributes, what trials report for Optuna's pruners
    (``trial.report``) is read instead: a step is a fidelity.
``orphan``
    True on a trial that failed because its process was killed: it says nothing about its point.
``retry_of``
    The number of the trial that this one repeats, which is an orphan then. Optuna's own retries of
    trials whose heartbeat ended are read as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from invsearch.search.sampler.catalogue import Catalogue
from invsearch.search.sampler.history import History, Record

__all__ = ["HYPERPARAMETERS", "PROPOSED", "Reader"]

Array = NDArray[np.float64]

HYPERPARAMETERS = "invsearch:hyperparameters"
PROPOSED = "invsearch:proposed"
"""System attribute of a trial: Optuna's internal value of each parameter that it was proposed.

Whoever else works on the study reads there what a running trial has not asked for yet, and of a
finished one what it never did.
"""

_AS_PROPOSED = np.empty(0)  # one for all trials: of most the point is what was proposed
_HUGE = 1e305  # of a value: sums and differences of a few such penalties are numbers


class Reader:
    """Reads the trials of one study again and again, each finished one once.

    A finished trial never changes, so what the leading finished trials say is kept; only the trials
    behind the first one that still runs are sorted out anew.

    Attributes:
        studies: How many studies it has read, one after another.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        """Args:
        catalogue: Of the study's space and directions.
        """
        self._catalogue, self._signs = catalogue, catalogue.signs
        self.studies = 0
        self._forget()

    def _forget(self) -> None:
        self.studies += 1
        self._settled = _Sorted()
        self._count = 0
        self._last: FrozenTrial | None = None
        self._parsed: dict[int, tuple[FrozenTrial, Record]] = {}

    def read(self, trials: Sequence[FrozenTrial], skip: int = -1) -> History:
        """Sort out ``trials``.

        Args:
            trials: Of the study, in order.
            skip: The number of the trial that asks.
        """
        if self._last is not None and (
            len(trials) < self._count or trials[self._count - 1] is not self._last
        ):
            self._forget()  # another study
        while self._count < len(trials) and trials[self._count].state.is_finished():
            self._last = trials[self._count]
            self._settled.add(self._last, self._record(self._last))
            self._parsed.pop(self._last.number, None)
            self._count += 1
        found = self._settled.copy()
        for trial in trials[self._count :]:
            found.note_retry(trial)
            if trial.number != skip:
                found.add(trial, self._record(trial))
        return found.history(len(self._catalogue.encoder.names))

    def _record(self, trial: FrozenTrial) -> Record:
        parsed = self._parsed.get(trial.number)
        if parsed is not None and parsed[0] is trial:
            return parsed[1]
        record = self._parse(trial)
        if trial.state.is_finished():
            self._parsed[trial.number] = (trial, record)
        return record

    def _parse(self, trial: FrozenTrial) -> Record:
        attrs, reached = trial.user_attrs, trial.intermediate_values
        partial = _mapping(attrs.get("partial"))
        rungs: Mapping[float, Array] = self._at(_mapping(attrs.get("rungs")).items())
        if reached and len(self._signs) == 1 and not partial and not rungs:
            if trial.state == TrialState.COMPLETE:
                rungs = _Reports(reached, self._minimised)
            else:
                partial = {"fidelity": max(reached), "values": [reached[max(reached)]]}
        stopped = self._at([(partial.get("fidelity"), partial.get("values"))])
        told = trial.system_attrs.get(PROPOSED, {})
        row, unasked = self._point(trial, told)
        proposed = self._catalogue.encoder.internal_row(told) if told else _AS_PROPOSED
        if np.array_equal(proposed, row, equal_nan=True):
            proposed = _AS_PROPOSED
        return Record(
            trial.number,
            trial.state,
            row,
            self._minimised(trial.values),
            np.nan_to_num(np.abs(self._minimised(attrs.get("sigma"))), posinf=0.0),
            trial.constraints,
            next(iter(stopped.items()), None),
            rungs,
            unasked,
            proposed,
        )

    def _point(
        self, trial: FrozenTrial, told: Mapping[str, float]
    ) -> tuple[Array, NDArray[np.bool_] | None]:
        """The trial's row, with what it was proposed; and which of that was never asked for."""
        catalogue = self._catalogue
        asked = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        if all(name in asked for name in told):
            return catalogue.placed(asked), None
        ended = trial.state.is_finished()
        if ended and not catalogue.encoder.row_is_given(asked):
            return catalogue.nowhere, None  # it decided nothing, and says nothing
        rest = catalogue.encoder.params(catalogue.encoder.internal_row(told))
        row = catalogue.placed({**rest, **asked})
        if not ended or any(name not in catalogue.encoder.names for name in asked):
            return row, None  # what else it asked for may be why the rest was left out
        return row, np.isnan(catalogue.encoder.row(asked)) & ~np.isnan(row)

    def _at(self, reached: Iterable[tuple[Any, Any]]) -> dict[float, Array]:
        """Minimised values by fidelity."""
        found = {}
        for fidelity, values in reached:
            with suppress(TypeError, ValueError):
                found[float(fidelity)] = self._minimised(values)
        return found

    def _minimised(self, values: Any) -> Array:
        """Numbers in the order of the directions; NaN where there is none.

        An attribute of the user's own that happens to have the name says nothing.
        """
        try:
            found = np.array([math.nan if v is None else float(v) for v in values])
        except (TypeError, ValueError):
            found = np.empty(0)
        if len(found) != len(self._signs):
            return np.full(len(self._signs), np.nan)
        bounded = np.where(np.isinf(found), found, np.clip(found, -_HUGE, _HUGE))
        return np.asarray(self._signs * bounded)


class _Reports(Mapping[float, Array]):
    """What a trial reported, by step, as ``rungs``: of thousands of steps few are read, again."""

    def __init__(self, values: Mapping[int, float], minimised: Callable[[Any], Array]) -> None:
        self._values, self._minimised = values, minimised
        self._read: dict[float, Array] = {}

    def __getitem__(self, step: float) -> Array:
        if step not in self._read:
            self._read[step] = self._minimised([self._values[step]])  # type: ignore[index]  # 2.0 is 2
        return self._read[step]

    def __contains__(self, step: object) -> bool:
        return step in self._values

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _never_begun(trial: FrozenTrial) -> bool:
    """Whether its worker died, or gave up, before the objective asked for anything."""
    return not trial.params and "fixed_params" not in trial.system_attrs


def _mapping(attribute: Any) -> Mapping[str, Any]:
    return attribute if isinstance(attribute, Mapping) else {}


class _Sorted:
    """Records by what became of them, while trials are added."""

    def __init__(self) -> None:
        self._evaluated: list[Record] = []
        self._failed: list[Record] = []
        self._stopped: list[Record] = []
        self._pending: list[Record] = []
        self._orphans: set[int] = set()
        self._hyperparameters: Mapping[str, Any] = {}

    def copy(self) -> _Sorted:
        twin = _Sorted()
        twin._evaluated, twin._failed = self._evaluated.copy(), self._failed.copy()
        twin._stopped, twin._pending = self._stopped.copy(), self._pending.copy()
        twin._orphans, twin._hyperparameters = self._orphans.copy(), self._hyperparameters
        return twin

    def note_retry(self, trial: FrozenTrial) -> None:
        optunas = trial.system_attrs.get("retry_history")  # of its RetryHeartbeatStaleTrialCallback
        for repeated in (trial.user_attrs.get("retry_of"), *(optunas or ())):
            if isinstance(repeated, int):
                self._orphans.add(repeated)

    def add(self, trial: FrozenTrial, record: Record) -> None:
        self.note_retry(trial)
        self._hyperparameters = trial.system_attrs.get(HYPERPARAMETERS, self._hyperparameters)
        if not record.placed:
            return
        if not trial.state.is_finished():
            self._pending.append(record)
        elif record.evaluated:
            self._evaluated.append(record)
        elif trial.state == TrialState.PRUNED:
            self._stopped.append(record)
        elif not trial.user_attrs.get("orphan") and not _never_begun(trial):
            self._failed.append(record)

    def history(self, width: int) -> History:
        failed = [r for r in self._failed if r.number not in self._orphans]
        ended = {r.key for r in self._evaluated}  # a stopped trial that was promoted is there twice
        # one that was promoted and stopped again, further on, too: what it reached last tells more
        stopped = list({r.key: r for r in self._stopped if r.key not in ended}.values())
        everything = self._evaluated + failed + stopped + self._pending
        # A failure may be nobody's fault: one says nothing of what its objective did not come to.
        partly_asked = [r for r in self._evaluated + stopped if r.unasked is not None]
        return History(
            self._evaluated,
            failed,
            stopped,
            np.array([r.row for r in self._pending]).reshape(len(self._pending), width),
            everything,
            {r.key for r in everything}
            | {r.proposed.tobytes() for r in everything if len(r.proposed)},
            self._hyperparameters,
            partly_asked,
        )
