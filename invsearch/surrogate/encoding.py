"""Points of an Optuna search space as rows of numbers, and the rows as kernel features.

A row holds Optuna's internal representation of every parameter (the index of a choice, the number
of a range) and NaN where the parameter is inactive, so equal points have equal rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from invsearch.surrogate.kernel import Features

__all__ = ["Encoder", "count_of", "levels_of", "snap"]

Array = NDArray[np.float64]

_OWN = 17  # columns of a choice (16 and none) of which each has a weight of its own
_ONE_HOT = 256  # columns of a choice at most: 40 MB for the largest space that is listed


def count_of(distribution: BaseDistribution) -> float:
    """How many values a distribution has; infinity where it is continuous."""
    if isinstance(distribution, CategoricalDistribution):
        return float(len(distribution.choices))
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    if distribution.low == distribution.high:
        return 1.0
    if distribution.step is None:
        return float("inf")
    return float(round((distribution.high - distribution.low) / distribution.step) + 1)


def snap(distribution: BaseDistribution, values: Array) -> Array:
    """The values of a range nearest to ``values``."""
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is not None:
        values = low + np.round((values - low) / step) * step
    return np.asarray(np.clip(values, low, high), dtype=float)


def levels_of(distribution: BaseDistribution) -> Array:
    """Every internal value of a finite distribution, in order."""
    index = np.arange(int(count_of(distribution)), dtype=float)
    if isinstance(distribution, CategoricalDistribution):
        return index
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return snap(distribution, distribution.low + index * (distribution.step or 0.0))


def _is_ordered(distribution: CategoricalDistribution) -> bool:
    numbers = all(
        isinstance(c, (int, float)) and not isinstance(c, bool) for c in distribution.choices
    )
    return numbers and len(distribution.choices) > 2


class Encoder:
    """Translates between parameters, rows and features.

    Attributes:
        names: The parameters, in the order of a row.
        distributions: Theirs, in the same order.
        families: The places of parameters that have the same values, two at least in each: the
            operators of several positions, the widths of several stages.
        groups: (columns,), the group of each feature column: one or two a parameter, then one a
            family.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.names = tuple(space)
        self.distributions = tuple(space.values())
        self._cache: list[dict[tuple[type, Any], float]] = [{} for _ in self.names]
        self._externals = [_external(distribution) for distribution in self.distributions]
        self._codes = [_codes(distribution) for distribution in self.distributions]
        self._counts = np.array(
            [
                len(d.choices) if isinstance(d, CategoricalDistribution) else np.inf
                for d in self.distributions
            ]
        )
        self.families = _families(self.distributions)
        self.groups = self._groups()

    def row(self, params: Mapping[str, Any]) -> Array:
        """The row of ``params``: (parameters,), NaN for a value that is none of the choices."""
        row = np.full(len(self.names), np.nan)
        for j, name in enumerate(self.names):
            if name in params:
                row[j] = self._internal(j, params[name])
        return row

    def internal_row(self, values: Mapping[str, float]) -> Array:
        """The row of Optuna's internal values, by parameter: (parameters,).

        NaN for a choice that there is no more.
        """
        row = np.array([values.get(name, np.nan) for name in self.names], dtype=float)
        return np.where(row < self._counts, row, np.nan)

    def internal(self, row: Array) -> dict[str, float]:
        """Optuna's internal values of the active parameters of ``row``."""
        values = zip(self.names, row.tolist(), strict=True)
        return {name: value for name, value in values if value == value}

    def within(self, rows: Array) -> Array:
        """``rows`` (n, parameters) with what a range does not have moved to the nearest it has.

        Trials may be of an earlier, wider range.
        """
        rows = rows.copy()
        for j, distribution in enumerate(self.distributions):
            if isinstance(distribution, CategoricalDistribution):
                continue
            near = snap(distribution, rows[:, j])
            assert isinstance(distribution, (IntDistribution, FloatDistribution))
            moved = np.abs(near - rows[:, j]) > 1e-6 * (distribution.step or 0.0)  # not by rounding
            rows[moved, j] = near[moved]
        return rows

    def rows(self, points: Iterable[Mapping[str, Any]]) -> Array:
        """The rows of several points: (n, parameters)."""
        found = [self.row(point) for point in points]
        return np.array(found).reshape(len(found), len(self.names))

    def row_is_given(self, params: Mapping[str, Any]) -> bool:
        """Whether ``params`` gives any parameter of the space a value."""
        return any(name in params for name in self.names)

    def _internal(self, j: int, value: Any) -> float:
        key = (type(value), value)
        cache = self._cache[j]
        try:
            return cache[key]
        except TypeError:  # a list or a dict is a choice too, and no key
            return _internal(self.distributions[j], value)
        except KeyError:
            if len(cache) > 100_000:
                cache.clear()
            cache[key] = _internal(self.distributions[j], value)
            return cache[key]

    def params(self, row: Array) -> dict[str, Any]:
        """The active parameters of ``row`` with their values."""
        return {
            name: external(value)
            for name, external, value in zip(self.names, self._externals, row.tolist(), strict=True)
            if value == value
        }

    def _groups(self) -> NDArray[np.intp]:
        groups: list[int] = []
        for distribution, codes in zip(self.distributions, self._codes, strict=True):
            group = groups[-1] + 1 if groups else 0
            if isinstance(distribution, CategoricalDistribution):
                groups += [group] * codes.shape[1]
                if _is_ordered(distribution):
                    groups += [group + 1]
            else:
                groups += [group, group]
        for family in self.families:
            groups += [groups[-1] + 1] * _width(self.distributions[family[0]])
        return np.array(groups, dtype=np.intp)

    def features(self, rows: Array) -> Array:
        """The distance features of ``rows`` (n, parameters): (n, columns).

        A choice is one-hot (with a level of its own where it is inactive), scaled so that two
        different choices are at squared distance 1, or nearly so where they are many; a choice
        among numbers has its rank as a second group. A range lies in 0..1, logarithmic where it is
        declared so, beside a column that tells whether it is active. Last, of each family, how many
        of its parameters have each choice, or the sum of its ranges.
        """
        blocks = []
        for j, distribution in enumerate(self.distributions):
            value = rows[:, j]
            absent = np.isnan(value)
            if isinstance(distribution, CategoricalDistribution):
                count = len(distribution.choices)
                index = np.where(absent, count, value).astype(int)
                blocks.append(self._codes[j][index])
                if _is_ordered(distribution):
                    order = np.argsort(np.argsort(np.array(distribution.choices, dtype=float)))
                    rank = np.append(order / (count - 1), 0.5)
                    blocks.append(rank[index][:, None])
            else:
                unit = np.where(absent, 0.5, _unit(distribution, value))
                blocks.append(np.stack([unit, 0.5 * absent], axis=1))
        blocks += [self._together(rows, family) for family in self.families]
        return np.concatenate(blocks, axis=1) if blocks else np.empty((len(rows), 0))

    def _together(self, rows: Array, family: Sequence[int]) -> Array:
        """The columns of a family: (n, columns), whatever the order of its parameters.

        They are divided by the root of its size: random points are then as far apart as by the
        columns of one parameter.
        """
        distribution, values = self.distributions[family[0]], rows[:, family]
        if isinstance(distribution, CategoricalDistribution):
            choices = range(len(distribution.choices))
            total = np.stack([(values == choice).sum(axis=1) for choice in choices], axis=1)
        else:
            total = np.nansum(_unit(distribution, values), axis=1)[:, None]
        return np.asarray(total * np.sqrt(0.5 / len(family)))

    def with_costs(self, rows: Array, costs: Array) -> Features:
        """``rows`` (n, parameters) as the kernel sees them, with their warped costs (n, costs).

        A cost is a feature of the linear term, and a group of its own in the distance.
        """
        first = self.groups.max() + 1 if len(self.groups) else 0
        groups = np.concatenate([self.groups, first + np.arange(costs.shape[1])])
        shared = np.concatenate([self._shared(), np.ones(costs.shape[1], dtype=bool)])
        pooled = np.zeros(len(groups), dtype=bool)
        pooled[self._pooled()] = True
        columns = np.concatenate([self.features(rows), 0.5 * costs], axis=1)
        return Features(columns, costs, groups, shared, pooled)

    def _pooled(self) -> slice:
        """Where the columns of families are."""
        widths = [_width(self.distributions[family[0]]) for family in self.families]
        return slice(len(self.groups) - sum(widths), len(self.groups))

    def _shared(self) -> NDArray[np.bool_]:
        """Which columns have no weight of their own: (columns,).

        Those of many choices, of which each is seen too seldom, and what is alone in its group.
        """
        shared: list[bool] = []
        for distribution, codes in zip(self.distributions, self._codes, strict=True):
            if isinstance(distribution, CategoricalDistribution):
                shared += [codes.shape[1] > _OWN] * codes.shape[1]
                shared += [True] * _is_ordered(distribution)
            else:
                shared += [True, True]
        for family in self.families:
            width = _width(self.distributions[family[0]])
            shared += [width == 1] * width
        return np.array(shared, dtype=bool)


def _families(distributions: Sequence[BaseDistribution]) -> tuple[tuple[int, ...], ...]:
    """Places of equal distributions, two at least in each, in order; not of too many choices."""
    found: list[list[int]] = []
    for j, distribution in enumerate(distributions):
        many = isinstance(distribution, CategoricalDistribution) and _width(distribution) >= _OWN
        if many or count_of(distribution) <= 1:
            continue
        like = [family for family in found if distributions[family[0]] == distribution]
        if like:
            like[0].append(j)
        else:
            found.append([j])
    return tuple(tuple(family) for family in found if len(family) > 1)


def _width(distribution: BaseDistribution) -> int:
    """Columns of a family of such parameters: one a choice; one for ranges."""
    return len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else 1


def _codes(distribution: BaseDistribution) -> Array:
    """The columns of every choice and of none: (choices + 1, columns); empty for a range.

    Of many choices they are random signs, which keep the distances to about a tenth (Johnson and
    Lindenstrauss); one-hot, 12,000 choices of which each is a candidate took 3.7 GB.
    """
    if not isinstance(distribution, CategoricalDistribution):
        return np.empty((0, 0))
    count = len(distribution.choices) + 1
    if count <= _ONE_HOT:
        return np.asarray(np.eye(count) * np.sqrt(0.5))
    signs = np.random.default_rng(0).integers(2, size=(count, _ONE_HOT)) * 2.0 - 1.0
    return np.asarray(signs * np.sqrt(0.5 / _ONE_HOT))


def _external(distribution: BaseDistribution) -> Callable[[float], Any]:
    if isinstance(distribution, CategoricalDistribution):
        return {float(i): choice for i, choice in enumerate(distribution.choices)}.__getitem__
    return distribution.to_external_repr


def _internal(distribution: BaseDistribution, value: Any) -> float:
    try:
        number = float(distribution.to_internal_repr(value))
    except ValueError:
        return float("nan")
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        near = float(snap(distribution, np.array([number]))[0])
        return near if abs(near - number) <= 1e-6 * distribution.step else number
    return number


def _unit(distribution: BaseDistribution, value: Array) -> Array:
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high = np.log(low), np.log(high)
        value = np.log(np.maximum(value, 1e-300))
    return np.asarray(np.clip((value - low) / max(high - low, 1e-300), -1.0, 2.0))
