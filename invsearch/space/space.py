"""Space: what may vary, under which conditions. It samples, enumerates, counts and mutates."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from invsearch.errors import InputError, nearest
from invsearch.space.architecture import Architecture, Value
from invsearch.space.conditions import (
    Clause,
    ConditionRule,
    explicit_clauses,
    holds,
    mentioned,
    ordered,
)
from invsearch.space.counting import Pins, TooManyStatesError, count_assignments
from invsearch.space.parameter import Parameter
from invsearch.space.yaml_file import show

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["Space"]

_TRIES = 100  # of drawing a possible architecture at random before it is looked for

Chosen = dict[str, Value]


class Space:
    """What may vary, under which conditions.

    Attributes:
        parameters: In topological order: a parameter comes after those that its conditions name.
        constants: What is held constant, by name.

    Args:
        parameters: In any order.
        clauses: By parameter, when it has an effect; by default what its ``when`` says.
        rules: What rules combinations out.
        constants: What is held constant.

    Raises:
        ValueError: If conditions go round in a circle.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        clauses: Mapping[str, tuple[Clause, ...]] | None = None,
        rules: Sequence[ConditionRule] = (),
        constants: Mapping[str, Any] | None = None,
    ) -> None:
        by_name = {parameter.name: parameter for parameter in parameters}
        if clauses is None:
            clauses = {name: explicit_clauses(p.when) for name, p in by_name.items()}
        needs = {name: mentioned(clauses.get(name, ())) for name in by_name}
        order = ordered(list(by_name), needs)
        self.parameters: tuple[Parameter, ...] = tuple(by_name[name] for name in order)
        self.constants: dict[str, Any] = dict(constants or {})
        self._by_name = {name: by_name[name] for name in order}
        self._plan = tuple((p.name, p, clauses.get(p.name, ())) for p in self.parameters)
        self._rules = tuple(rules)
        place = {name: index for index, name in enumerate(order)}
        self._due: list[list[ConditionRule]] = [[] for _ in order]
        for rule in rules:
            self._due[max(place[name] for name in rule.names)].append(rule)

    def __len__(self) -> int:
        return len(self.parameters)

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Architecture):
            return False
        try:
            return self.canonical(architecture) == architecture
        except InputError:
            return False

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(self._by_name)

    def active(self, name: str, values: Mapping[str, Value]) -> bool:
        """Whether a parameter has an effect, given the values of the others."""
        chosen: Chosen = {}
        for other, _, clauses in self._plan:
            active = holds(clauses, chosen)
            if other == name:
                return active
            if active and other in values:
                chosen[other] = values[other]
        raise InputError(f"no parameter is called {name!r}{nearest(name, self._by_name)}")

    def canonical(self, values: Mapping[str, Value]) -> Architecture:
        """Return the architecture that ``values`` spell: without the choices that have no effect.

        Raises:
            InputError: If a value is missing, not allowed, or of a parameter that is not there.
        """
        given = dict(values)
        for name in given:
            if name not in self._by_name:
                raise InputError(f"no parameter is called {name!r}{nearest(name, self._by_name)}")
        chosen: Chosen = {}
        for name, parameter, clauses in self._plan:
            if holds(clauses, chosen):
                value = parameter.normal(given.get(name))
                if value is None:
                    raise _refusal(parameter, given)
                chosen[name] = value
        return self._architecture(chosen)

    def problem(self, values: Mapping[str, Value]) -> str | None:
        """Say why an architecture (or the values that spell it) is impossible, or return None."""
        architecture = values if isinstance(values, Architecture) else self.canonical(values)
        return self._problem(dict(architecture.items_))

    def suggest(self, trial: Trial) -> Architecture:
        """Ask an Optuna trial for an architecture, define-by-run: active parameters alone.

        The architecture may be impossible: see :meth:`problem`.
        """
        chosen: Chosen = {}
        for name, parameter, clauses in self._plan:
            if holds(clauses, chosen):
                chosen[name] = parameter.suggest(trial)
        return self._architecture(chosen)

    def sample(self, rng: random.Random) -> Architecture:
        """Draw an architecture that is possible.

        Raises:
            InputError: If the space holds none.
        """
        for _ in range(_TRIES):
            chosen = self._complete({}, rng)
            if self._problem(chosen) is None:
                return self._architecture(chosen)
        for chosen in self._assignments(rng):
            return self._architecture(chosen)
        raise InputError("the space holds no possible architecture")

    def enumerate(self) -> Iterator[Architecture]:
        """Yield every possible architecture once, in a fixed order.

        Raises:
            InputError: If a parameter is continuous.
        """
        for parameter in self.parameters:
            if not parameter.finite:
                reason = f"{parameter.name!r} is continuous; give it a step"
                raise InputError(f"the space cannot be enumerated: {reason}")
        for chosen in self._assignments():
            if self._fold(chosen) is chosen:
                yield Architecture(tuple(chosen.items()))

    def size(self) -> int | float:
        """The number of possible architectures; exact where :attr:`size_is_exact`, else at most."""
        return self._size[0]

    @property
    def size_is_exact(self) -> bool:
        """Whether :meth:`size` is exact rather than an upper bound."""
        return self._size[1]

    @property
    def empty(self) -> bool:
        """Whether no architecture is possible."""
        rng = random.Random(0)
        drawn = (self._complete({}, rng) for _ in range(_TRIES))
        if any(self._problem(chosen) is None for chosen in drawn):
            return False
        return next(self._assignments(rng), None) is None

    def reaches(self, name: str, value: Value) -> bool:
        """Whether some possible architecture has this value."""
        try:
            return self._count({name: frozenset([value])}) > 0
        except TooManyStatesError:
            return True

    def replace(
        self, architecture: Architecture, name: str, value: Value, rng: random.Random
    ) -> Architecture | None:
        """Return the architecture with one value changed, or None if that is impossible.

        Parameters that become active are drawn.
        """
        return self._possible({**architecture.to_json(), name: value}, rng)

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """Return a different possible architecture, one parameter away where there is one.

        Parameters that become active are drawn. The only architecture of a space is returned as
        it is.
        """
        for _ in range(_TRIES):
            name = rng.choice(architecture.items_)[0] if architecture.items_ else ""
            value = self._by_name[name].other(architecture[name], rng) if name else None
            if value is None:
                continue
            made = self.replace(architecture, name, value, rng)
            if made is not None and made != architecture:
                return made
        return self._different(architecture, rng)

    def to_json(self) -> dict[str, Any]:
        """The parameters and constants as plain data."""
        return {
            "parameters": {p.name: p.to_json() for p in self.parameters},
            "constants": self.constants,
        }

    def conditions(self, name: str) -> tuple[Clause, ...]:
        """When a parameter has an effect: clauses that must all hold."""
        return next(clauses for other, _, clauses in self._plan if other == name)

    def _fold(self, chosen: Chosen) -> Chosen:
        """Return the canonical spelling of a complete assignment: the same object if it is that."""
        return chosen

    def _folded(self, pins: Pins) -> int:
        """The number of assignments that are not canonical spellings."""
        return 0

    def _architecture(self, chosen: Chosen) -> Architecture:
        return Architecture(tuple(self._fold(chosen).items()))

    def _problem(self, chosen: Mapping[str, Value]) -> str | None:
        for rule in self._rules:
            reason = rule.problem(tuple(map(chosen.get, rule.names)))
            if reason is not None:
                return reason
        return None

    def _complete(self, partial: Mapping[str, Value], rng: random.Random) -> Chosen:
        """Draw what is active and not given."""
        chosen: Chosen = {}
        for name, parameter, clauses in self._plan:
            if holds(clauses, chosen):
                value = partial.get(name)
                chosen[name] = parameter.sample(rng) if value is None else value
        return chosen

    def _possible(self, partial: Mapping[str, Value], rng: random.Random) -> Architecture | None:
        chosen = self._complete(partial, rng)
        return self._architecture(chosen) if self._problem(chosen) is None else None

    def _different(self, architecture: Architecture, rng: random.Random) -> Architecture:
        for _ in range(_TRIES):
            drawn = self.sample(rng)
            if drawn != architecture:
                return drawn
        others = map(self._architecture, self._assignments(rng))
        return next((other for other in others if other != architecture), architecture)

    def _assignments(
        self, rng: random.Random | None = None, pins: Pins | None = None
    ) -> Iterator[Chosen]:
        """Yield every possible assignment of active parameters, shuffled if ``rng`` is given."""
        stack: list[Iterator[tuple[int, Chosen]]] = [iter([(0, {})])]
        while stack:
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
                continue
            index, chosen = item
            while index < len(self._plan) and not holds(self._plan[index][2], chosen):
                if self._violated(index, chosen) or self._plan[index][0] in (pins or ()):
                    break
                index += 1
            else:
                if index == len(self._plan):
                    yield chosen
                else:
                    stack.append(self._branches(index, chosen, rng, pins or {}))

    def _branches(
        self, index: int, chosen: Chosen, rng: random.Random | None, pins: Pins
    ) -> Iterator[tuple[int, Chosen]]:
        name, parameter, _ = self._plan[index]
        for value in _values(parameter, rng):
            extended = {**chosen, name: value}
            if value in pins.get(name, (value,)) and not self._violated(index, extended):
                yield index + 1, extended

    def _violated(self, index: int, chosen: Chosen) -> bool:
        return any(
            rule.problem(tuple(map(chosen.get, rule.names))) is not None
            for rule in self._due[index]
        )

    @cached_property
    def _size(self) -> tuple[int | float, bool]:
        try:
            return self._count({}), True
        except TooManyStatesError:
            bound: int | float = 1
            for parameter in self.parameters:
                bound *= parameter.cardinality
            return bound, False

    def _count(self, pins: Pins) -> int | float:
        return self._count_spellings(pins) - self._folded(pins)

    def _count_spellings(self, pins: Pins) -> int | float:
        plan = [(parameter, clauses) for _, parameter, clauses in self._plan]
        return count_assignments(plan, self._due, pins)


def _values(parameter: Parameter, rng: random.Random | None) -> Iterator[Value]:
    if rng is None:
        return parameter.values()
    if not parameter.finite or parameter.cardinality > _TRIES:
        return (parameter.sample(rng) for _ in range(_TRIES))
    values = list(parameter.values())
    rng.shuffle(values)
    return iter(values)


def _refusal(parameter: Parameter, given: Mapping[str, Value]) -> InputError:
    if parameter.name not in given:
        return InputError(f"{parameter.name!r} has no value; allowed: {parameter.describe()}")
    value = given[parameter.name]
    hint = nearest(value, parameter.choices or ())
    return InputError(
        f"{parameter.name!r} cannot be {show(value)}{hint}; allowed: {parameter.describe()}"
    )
