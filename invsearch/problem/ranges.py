"""Between what the costs lie that are known beforehand, and whether anything keeps the bounds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from invsearch.errors import InputError, TrialError
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.runs.bounds import nothing_meets
from invsearch.space.architecture import Architecture, Value
from invsearch.space.space import Space

__all__ = ["ENUMERABLE", "CostRange", "Costs", "check_feasible", "cost_ranges", "known_costs"]

Costs = Callable[[Architecture], Mapping[str, float]]
"""The known costs of an architecture; empty where they cannot be known."""

ENUMERABLE = 20_000  # architectures that are all counted, at 10,000 to 26,000 a second
Method = Literal["exact", "sampled", "drawn"]

_SAMPLES = 1_000  # of a larger space; the ends are climbed to from the best of them
_DEAR = 64  # architectures at a tenth of a second each: a person waits for as long
_CLIMBS = 3  # draws of what a change of one value leaves open
_MAX_VALUES = 100  # of a parameter that are each tried in a climb


@dataclass(frozen=True)
class CostRange:
    """Between what a cost lies.

    Attributes:
        name: The metric.
        low: The smallest value that was found.
        high: The largest.
        method: ``exact`` (every architecture was counted), or ``sampled`` (some, and from the ends
            one change at a time as far as it goes), or ``drawn`` (some).
        cheapest: An architecture with the smallest value.
        dearest: An architecture with the largest.
    """

    name: str
    low: float
    high: float
    method: Method
    cheapest: Architecture
    dearest: Architecture


def known_costs(problem: Problem) -> Costs:
    """Return what is known of an architecture before evaluation, and in ``explain`` shown."""
    shown = problem.explained

    def costs(architecture: Architecture) -> Mapping[str, float]:
        try:
            return {name: metric.value for name, metric in shown(architecture).items()}
        except TrialError:
            return {}

    return costs


def check_feasible(problem: Problem) -> None:
    """Check that some architecture keeps the bounds on what is known beforehand.

    Raises:
        InputError: If none does; it names the bound and the best there is.
    """
    names = problem.bounds.keys() & {*problem.known_names}
    if not names:
        return
    space, rng = problem.space, random.Random(0)
    if any(problem.admits(space.sample(rng)) for _ in range(_SAMPLES)):
        return

    def costs(architecture: Architecture) -> Mapping[str, float]:
        try:
            known: Mapping[str, Metric] = problem.known(architecture)
        except TrialError:
            return {}
        return {name: known[name].value for name in names}

    found = list(cost_ranges(space, costs, rng))
    seen = {one.name: (one.low, one.high) for one in found}
    reason = nothing_meets(seen, problem.bounds)
    if not reason and all(one.method == "exact" for one in found):
        if any(map(problem.admits, space.enumerate())):
            return
        reason = f"nothing meets the bounds on {', '.join(sorted(names))} together"
    if reason:
        raise InputError(f"{problem.file.path}: constraints: {reason}")


def cost_ranges(
    space: Space,
    costs: Costs,
    rng: random.Random,
    enumerable: int = ENUMERABLE,
    *,
    dear: bool = False,
) -> Iterator[CostRange]:
    """Find between what each cost lies: exactly in a small space, else by climbing to both ends.

    Args:
        space: The space.
        costs: Of an architecture.
        rng: What is drawn is drawn from.
        enumerable: How many architectures are all counted.
        dear: Whether a cost takes long to know: then fewer are drawn, and nothing is climbed.
    """
    exact = space.size_is_exact and space.size() <= (_DEAR if dear else enumerable)
    draws = _DEAR if dear else _SAMPLES
    drawn = space.enumerate() if exact else (space.sample(rng) for _ in range(draws))
    counted = ((architecture, costs(architecture)) for architecture in drawn)
    known = {architecture: found for architecture, found in counted if found}
    for name in next(iter(known.values()), {}):
        ends = []
        for sign in (1, -1):
            start = min(known, key=lambda a: sign * known[a][name])
            still = exact or dear
            ends.append(start if still else _climb(space, costs, name, sign, start, rng))
        low, high = (costs(end)[name] for end in ends)
        method: Method = "exact" if exact else "drawn" if dear else "sampled"
        yield CostRange(name, low, high, method, *ends)


def _climb(
    space: Space, costs: Costs, name: str, sign: int, start: Architecture, rng: random.Random
) -> Architecture:
    """Change one value at a time as long as ``sign * cost`` falls."""
    best, value = start, sign * costs(start)[name]
    improved = True
    while improved:
        improved = False
        for neighbour in _neighbours(space, best, rng):
            found = sign * costs(neighbour).get(name, math.inf * sign)
            if found < value:
                best, value, improved = neighbour, found, True
    return best


def _neighbours(
    space: Space, architecture: Architecture, rng: random.Random
) -> Iterator[Architecture]:
    for name in architecture:
        parameter = space[name]
        values: list[Value] = [parameter.sample(rng) for _ in range(_CLIMBS)]
        if parameter.cardinality <= _MAX_VALUES:
            values = list(parameter.values())
        elif parameter.choices is None:
            values += [parameter.low, parameter.high]
        for value in values:
            if value != architecture[name]:
                made = (space.replace(architecture, name, value, rng) for _ in range(_CLIMBS))
                yield from {neighbour for neighbour in made if neighbour is not None}
