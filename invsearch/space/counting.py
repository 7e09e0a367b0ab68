"""Counting the possible assignments of a space without enumerating them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence

from invsearch.space.architecture import Value
from invsearch.space.conditions import Clause, ConditionRule, Term, holds, mentioned
from invsearch.space.parameter import Parameter

__all__ = ["Pins", "TooManyStatesError", "count_assignments"]

Pins = Mapping[str, frozenset[Value]]
"""Parameters that must be active, each with one of these values."""

_MAX_STATES = 20_000  # partial assignments told apart: about a second
_MAX_COMPLETIONS = 4_096  # of one rule, each tried once: some milliseconds

_Plan = Sequence[tuple[Parameter, tuple[Clause, ...]]]
_Chosen = dict[str, Value]


class TooManyStatesError(Exception):
    """The conditions of a space are too entangled to count it exactly."""


class _Other:
    """Any value of a parameter that no condition names."""

    __slots__ = ()


_OTHER: Value = _Other()  # type: ignore[assignment]


def count_assignments(
    plan: _Plan, due: Sequence[Sequence[ConditionRule]], pins: Pins
) -> int | float:
    """Count the assignments of active parameters that no rule forbids.

    Goes through the parameters in order and merges partial assignments that the conditions and
    rules of later parameters cannot tell apart, so the work grows with what is entangled and not
    with the size of the space.

    Args:
        plan: Parameters in topological order, each with its clauses.
        due: By position in the plan, the rules whose last parameter that is.
        pins: Parameters that must be active with one of some values.

    Returns:
        The number; infinite if a continuous parameter is active in a possible assignment.

    Raises:
        TooManyStatesError: If too many partial assignments have to be told apart.
    """
    frontier = _Frontier(plan, due)
    states: dict[Hashable, tuple[int | float, _Chosen]] = {(): (1, {})}
    for index, (parameter, clauses) in enumerate(plan):
        reached: dict[Hashable, tuple[int | float, _Chosen]] = {}
        for number, chosen in states.values():
            active = holds(clauses, chosen)
            for value, weight in _branches(parameter, active, frontier, pins):
                extended = chosen if value is None else {**chosen, parameter.name: value}
                if _forbidden(due[index], extended):
                    continue
                key = frontier.key(index + 1, extended)
                if key is None:
                    continue
                known, kept = reached.get(key, (0, extended))
                reached[key] = (known + _times(number, weight), kept)
        if len(reached) > _MAX_STATES:
            raise TooManyStatesError
        states = reached
    return sum(number for number, _ in states.values())


def _times(number: int | float, weight: int | float) -> int | float:
    return math.inf if math.inf in (number, weight) else number * weight


def _forbidden(rules: Sequence[ConditionRule], chosen: _Chosen) -> bool:
    return any(rule.problem(tuple(map(chosen.get, rule.names))) is not None for rule in rules)


def _branches(
    parameter: Parameter, active: bool, frontier: _Frontier, pins: Pins
) -> list[tuple[Value | None, int | float]]:
    """The values to tell apart, each with how many it stands for; None for not active."""
    pinned = pins.get(parameter.name)
    if not active:
        return [] if pinned is not None else [(None, 1)]
    if pinned is not None:
        return [(value, 1) for value in pinned if parameter.contains(value)]
    if parameter.name in frontier.ruled:
        return [(value, 1) for value in parameter.values()]
    named = [value for value in frontier.named.get(parameter.name, ()) if parameter.contains(value)]
    rest = parameter.cardinality - len(named)
    return [(value, 1) for value in named] + ([(_OTHER, rest)] if rest else [])


def _residual(terms: Sequence[tuple[Term, Term]], chosen: _Chosen) -> Hashable:
    """True if a clause holds already, else the later atoms of the terms that may come to hold."""
    open_terms = set()
    for past, later in terms:
        for name, allowed in past:
            if chosen.get(name) not in allowed:
                break
        else:
            if not later:
                return True
            open_terms.add(later)
    return frozenset(open_terms)


class _Frontier:
    """What the rest of a plan can still tell about a partial assignment."""

    def __init__(self, plan: _Plan, due: Sequence[Sequence[ConditionRule]]) -> None:
        self._place = {parameter.name: i for i, (parameter, _) in enumerate(plan)}
        self._parameters = {parameter.name: parameter for parameter, _ in plan}
        self.ruled = {name for rules in due for rule in rules for name in rule.names}
        self.named: dict[str, set[Value]] = {}
        for _, clauses in plan:
            for clause in clauses:
                for term in clause:
                    for name, allowed in term:
                        self.named.setdefault(name, set()).update(
                            v for v in allowed if v is not None
                        )
        steps = range(len(plan) + 1)
        last: dict[Clause, int] = {}
        for i, (_, clauses) in enumerate(plan):
            last.update(dict.fromkeys(clauses, i))
        self._clauses = [
            [self._split(c, k) for c, end in last.items() if self._begins(c) < k <= end]
            for k in steps
        ]
        self._rules = [
            [r for end in range(k, len(plan)) for r in due[end] if self._first(r) < k]
            for k in steps
        ]
        self._residuals: dict[Hashable, Hashable] = {}

    def _first(self, rule: ConditionRule) -> int:
        return min(self._place[name] for name in rule.names)

    def _begins(self, clause: Clause) -> int:
        return min((self._place[name] for name in mentioned([clause])), default=0)

    def _split(self, clause: Clause, index: int) -> list[tuple[Term, Term]]:
        """The terms of a clause, each as its atoms about past and about later parameters."""
        terms = []
        for term in clause:
            past = tuple(atom for atom in term if self._place[atom[0]] < index)
            terms.append((past, tuple(atom for atom in term if atom not in past)))
        return terms

    def key(self, index: int, chosen: _Chosen) -> Hashable | None:
        """What tells assignments of the first ``index`` parameters apart; None: impossible."""
        seen = [_residual(terms, chosen) for terms in self._clauses[index]]
        residuals = set()
        for rule in self._rules[index]:
            residual = self._rule(index, rule, chosen)
            if residual is False:
                return None
            if residual is not True:
                residuals.add(residual)
        return tuple(seen), frozenset(residuals)

    def _rule(self, index: int, rule: ConditionRule, chosen: _Chosen) -> Hashable:
        """Which completions the rule allows: True for all, False for none."""
        past = tuple(chosen.get(n) if self._place[n] < index else None for n in rule.names)
        memo = (id(rule), index, past)
        if memo not in self._residuals:
            self._residuals[memo] = self._completions(index, rule, past)
        return self._residuals[memo]

    def _completions(
        self, index: int, rule: ConditionRule, past: tuple[Value | None, ...]
    ) -> Hashable:
        names = [n for n in rule.names if self._place[n] >= index]
        domains = [[None, *self._parameters[n].values()] for n in names]
        if math.prod(map(len, domains)) > _MAX_COMPLETIONS:
            return (id(rule), past)
        allowed, count = [], 0
        for completion in itertools.product(*domains):
            rest = iter(completion)
            values = tuple(
                next(rest) if self._place[n] >= index else value
                for n, value in zip(rule.names, past, strict=True)
            )
            count += 1
            if rule.problem(values) is None:
                allowed.append(completion)
        if len(allowed) == count:
            return True
        return (tuple(names), frozenset(allowed)) if allowed else False
