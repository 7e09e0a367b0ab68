"""The objectives known beforehand: exact values, one row a point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.surrogate.encoding import Encoder

__all__ = ["CostTable"]

Array = NDArray[np.float64]
Params = Mapping[str, Any]


class CostTable:
    """Calls ``costs`` and ``hints`` once a point."""

    def __init__(
        self,
        encoder: Encoder,
        signs: Array,
        costs: Callable[[Mapping[str, Any]], Mapping[int, float]] | None,
        hints: Callable[[Mapping[str, Any]], Sequence[float]] | None,
    ) -> None:
        self._encoder, self._signs, self._costs, self._hints = encoder, signs, costs, hints
        self._cache: dict[bytes, Array] = {}
        self._columns = 0
        self._known: tuple[int, ...] | None = None if costs is not None else ()

    def known(self, row: Array) -> tuple[int, ...]:
        """The known objectives, told by the costs of any point ``row``."""
        if self._known is None:
            self.values(row[None])
        assert self._known is not None
        return self._known

    def values(self, rows: Array) -> Array:
        """(n, known objectives + hints): minimised costs, then hints."""
        if self._costs is None and self._hints is None:
            return np.empty((len(rows), 0))
        if len(self._cache) > 200_000:
            self._cache.clear()
        found = []
        for row in rows:
            key = row.tobytes()
            if key not in self._cache:
                self._cache[key] = self._evaluate(row)
            found.append(self._cache[key])
        return np.array(found).reshape(len(rows), self._columns)

    def _evaluate(self, row: Array) -> Array:
        params = self._encoder.params(row)
        costs = self._asked("costs", self._costs, params) if self._costs is not None else {}
        if not isinstance(costs, Mapping):
            raise ValueError(
                f"costs gave {costs!r} for {params}: it gives a mapping from the index of each"
                " objective that is known beforehand to its value, such as {1: 2.5}"
            )
        if self._known is None:
            self._known = tuple(sorted(self._checked(costs)))
        if len(costs) != len(self._known) or any(m not in costs for m in self._known):
            raise ValueError(
                f"costs gave the objectives {sorted(costs)} for {params} and "
                f"{list(self._known)} before: it must always give the same"
            )
        hints = self._asked("hints", self._hints, params) if self._hints is not None else []
        try:
            values = [float(self._signs[m] * costs[m]) for m in self._known]
            values += [float(hint) for hint in hints]
        except (TypeError, ValueError):
            raise ValueError(
                f"costs and hints of {params} are {costs!r} and {hints!r}: each cost is a number,"
                " and hints are a sequence of numbers"
            ) from None
        if not all(math.isfinite(v) for v in values):
            raise ValueError(f"costs or hints of {params} are not finite: {values}")
        if self._columns and len(values) != self._columns:
            raise ValueError(
                f"hints gave {len(hints)} numbers for {params}, and"
                f" {self._columns - len(self._known)} before: it must always give as many"
            )
        self._columns = len(values)
        return np.array(values)

    def _asked(self, name: str, function: Callable[[Params], Any], params: Params) -> Any:
        """What the user's function gives; what it raises instead tells of which point."""
        try:
            return function(params)
        except Exception as error:
            error.add_note(
                f"raised by {name} of {params}: where a point has none, feasible has to forbid it"
            )
            raise

    def _checked(self, known: Iterable[int]) -> Iterable[int]:
        count = len(self._signs)
        for m in known:
            if not isinstance(m, Integral) or not 0 <= m < count:
                raise ValueError(f"costs gave objective {m!r}; the study has 0 to {count - 1}")
        return known
