"""Parameter: one thing that may vary, and the values it may take."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from invsearch.space.architecture import Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

__all__ = ["Parameter"]

_CLOSE = 1e-6  # of a step: what floating point loses between two spellings of one value
_DIGITS = 12  # a step of 0.1 gives 0.3, not 0.30000000000000004
_JUMP = 0.2  # deviation of a mutation, of the range: mostly near, sometimes across


@dataclass(frozen=True)
class Parameter:
    """One thing that may vary: a choice of values, or a range.

    Attributes:
        name: Its name, unique in the space, such as ``stage2.kernel_size``.
        choices: The values of a choice, or None for a range.
        low: Smallest value of a range.
        high: Largest value of a range; with a step, the last value that it reaches.
        step: Distance between the values of a range; None for a continuous one.
        log: Whether the range is sampled on a logarithmic scale.
        integer: Whether the range holds whole numbers alone.
        when: Its conditions: ``(other parameter, values)`` pairs that must all hold.
    """

    name: str
    choices: tuple[Value, ...] | None = None
    low: int | float = 0
    high: int | float = 0
    step: int | float | None = None
    log: bool = False
    integer: bool = False
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    @cached_property
    def cardinality(self) -> int | float:
        """The number of values; infinite for a continuous range."""
        if self.choices is not None:
            return len(self.choices)
        if self.step is None:
            return math.inf if self.high > self.low else 1
        return math.floor((self.high - self.low) / self.step + _CLOSE) + 1

    @property
    def finite(self) -> bool:
        """Whether the values can be counted."""
        return self.cardinality != math.inf

    def value_at(self, index: int) -> Value:
        """Return the value at ``index`` of a finite parameter, in order."""
        if self.choices is not None:
            return self.choices[index]
        value = self.low + index * (self.step or 0)
        return value if self.integer else float(f"{value:.{_DIGITS}g}")

    def values(self) -> Iterator[Value]:
        """All values of a finite parameter, in order."""
        return (self.value_at(index) for index in range(int(self.cardinality)))

    def index(self, value: Value) -> int:
        """Return the index of a value that the parameter has."""
        if self.choices is not None:
            return self.choices.index(value)
        return round((float(value) - self.low) / (self.step or 1))

    @cached_property
    def _members(self) -> dict[Value, Value]:
        return {value: value for value in self.choices or ()}

    def normal(self, value: object) -> Value | None:
        """Return the parameter's own form of ``value`` (1.0 is 1); None if it has no such one."""
        if self.choices is not None:
            if not isinstance(value, str | int | float):
                return None
            member = self._members.get(value)
            return member if isinstance(member, bool) == isinstance(value, bool) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not self.low <= value <= self.high * (1 + 1e-12 * (self.high > 0)):
            return None
        if self.step is None:
            return float(min(value, self.high))
        index = (value - self.low) / self.step
        return self.value_at(round(index)) if abs(index - round(index)) < _CLOSE else None

    def contains(self, value: object) -> bool:
        """Whether ``value`` is one that the parameter may take."""
        return self.normal(value) is not None

    def sample(self, rng: random.Random) -> Value:
        """Draw a value: uniformly, or on a logarithmic scale for ``log``."""
        if self.log:
            return self._at_position(rng.random())
        if self.finite:
            return self.value_at(rng.randrange(int(self.cardinality)))
        return self.low + (self.high - self.low) * rng.random()

    def other(self, value: Value, rng: random.Random) -> Value | None:
        """Draw a different value, often a neighbour in a range; None if there is no other."""
        if not self.finite:
            return self._jump(float(value), rng)
        count = int(self.cardinality)
        if count < 2:
            return None
        index = self.index(value)
        if self.choices is None and rng.random() < 0.5:
            near = [i for i in (index - 1, index + 1) if 0 <= i < count]
            return self.value_at(rng.choice(near))
        drawn = rng.randrange(count - 1)
        return self.value_at(drawn + (drawn >= index))

    def suggest(self, trial: Trial) -> Value:
        """Ask an Optuna trial for a value."""
        chosen: object
        name, low, high, step = self.name, self.low, self.high, self.step
        if self.choices is not None:
            chosen = trial.suggest_categorical(name, self.choices)
        elif self.integer:
            chosen = trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=self.log)
        else:
            chosen = trial.suggest_float(name, low, high, step=step, log=self.log)
        normal = self.normal(chosen)
        assert normal is not None
        return normal

    def distribution(self) -> BaseDistribution:
        """The same as an Optuna distribution."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if self.choices is not None:
            return CategoricalDistribution(self.choices)
        if self.integer:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    def describe(self) -> str:
        """The values in words, such as ``3, 5, 7`` or ``1 to 9, step 2``."""
        if self.choices is not None:
            return ", ".join(map(str, self.choices))
        step = (
            "" if self.step is None or (self.integer and self.step == 1) else f", step {self.step}"
        )
        return f"{self.low} to {self.high}{step}{', log scale' if self.log else ''}"

    def to_json(self) -> dict[str, object]:
        """The parameter as it would stand in a space file."""
        data: dict[str, object]
        if self.choices is not None:
            data = {"choice": list(self.choices)}
        else:
            data = {"range": [self.low, self.high], "step": self.step, "log": self.log}
        if self.when:
            data["when"] = {name: list(values) for name, values in self.when}
        return data

    def _at_position(self, position: float) -> Value:
        """The value at a position in [0, 1] of the (logarithmic) range."""
        half = 0.5 if self.integer else 0.0
        if not self.log:
            return self.low + (self.high - self.low) * position
        low, high = math.log(self.low - half), math.log(self.high + half)
        value = math.exp(low + (high - low) * position)
        return min(max(round(value) if self.integer else value, self.low), self.high)

    def _jump(self, value: float, rng: random.Random) -> Value:
        scale = math.log if self.log else float
        low, high = scale(self.low), scale(self.high)
        while True:
            position = (scale(value) - low) / (high - low) + rng.gauss(0, _JUMP)
            moved = self._at_position(min(max(position, 0.0), 1.0))
            if moved != value:
                return moved
