"""The objectives known beforehand: exact values, and the same as features of the models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.search.sampler.encoding import Encoder

__all__ = ["CostTable", "Warp"]

Array = NDArray[np.float64]


class Warp:
    """Logarithm (of values of one sign) and standardisation, fixed by reference values."""

    def __init__(self, reference: Array) -> None:
        """Args:
        reference: (n,) values; the logarithm is used where all are above or all below 0.
        """
        self._sign = 1.0 if np.all(reference > 0) else -1.0 if np.all(reference < 0) else 0.0
        base = self._base(reference)
        self._centre, spread = float(base.mean()), float(base.std())
        self._spread = spread if spread > 1e-12 else 1.0

    def _base(self, values: Array) -> Array:
        if not self._sign:
            return values
        return np.asarray(self._sign * np.log(np.maximum(self._sign * values, 1e-300)))

    def __call__(self, values: Array) -> Array:
        """The values on the warped scale, in the same order."""
        return np.asarray((self._base(values) - self._centre) / self._spread)


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
        self._columns = len(found[0]) if found else self._columns
        return np.array(found).reshape(len(rows), self._columns)

    def _evaluate(self, row: Array) -> Array:
        params = self._encoder.params(row)
        costs = self._costs(params) if self._costs is not None else {}
        if self._known is None:
            self._known = self._checked(tuple(sorted(costs)))
        if len(costs) != len(self._known) or any(m not in costs for m in self._known):
            raise ValueError(
                f"costs gave the objectives {sorted(costs)} for {params} and "
                f"{list(self._known)} before: it must always give the same"
            )
        values = [float(self._signs[m] * costs[m]) for m in self._known]
        values += [float(h) for h in self._hints(params)] if self._hints is not None else []
        if not all(math.isfinite(v) for v in values):
            raise ValueError(f"costs or hints of {params} are not finite: {values}")
        return np.array(values)

    def _checked(self, known: tuple[int, ...]) -> tuple[int, ...]:
        count = len(self._signs)
        for m in known:
            if not 0 <= m < count:
                raise ValueError(f"costs gave objective {m}; the study has 0 to {count - 1}")
        return known
