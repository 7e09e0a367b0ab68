"""What a space file says, without running it: size, conditions, samples, ranges of the costs."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invsearch.problem import problem_of
from invsearch.problem.ranges import (
    ENUMERABLE,
    CostRange,
    Costs,
    check_feasible,
    cost_ranges,
    known_costs,
)
from invsearch.space.architecture import Architecture
from invsearch.space.conditions import Clause, Term
from invsearch.space.load import SpaceFile
from invsearch.space.space import Space
from invsearch.space.yaml_file import show

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["CostRange", "Explanation", "ParameterLine", "costs_of", "explain"]

_ENUMERABLE = ENUMERABLE  # architectures whose costs are all counted
_SAMPLES = 1_000  # architectures: a value that none of them has may be out of reach
_SHOWN = 5  # architectures: a screen's worth
_MAX_VALUES = 100  # of a parameter that are each tried for being reachable


@dataclass(frozen=True)
class ParameterLine:
    """What may vary, for people.

    Attributes:
        name: The parameter, or ``stageN.kernel_size`` for several that are alike.
        values: Its values in words.
        condition: When it has an effect, in words; empty for always.
        count: How many parameters the line stands for.
    """

    name: str
    values: str
    condition: str
    count: int


@dataclass(frozen=True)
class Explanation:
    """What a space file says.

    Attributes:
        name: The space's name.
        size: The number of possible architectures.
        exact: Whether ``size`` is exact rather than an upper bound.
        objectives: By metric, its direction and where its values come from.
        parameters: What may vary.
        constants: What is held.
        samples: Some architectures, each with its costs.
        ranges: Between what each cost lies.
        unreachable: Values that no possible architecture has.
        counted_for: What the costs are of, in words; empty without costs.
    """

    name: str
    size: int | float
    exact: bool
    objectives: Mapping[str, str]
    parameters: tuple[ParameterLine, ...]
    constants: Mapping[str, Any]
    samples: tuple[tuple[Architecture, Mapping[str, float]], ...]
    ranges: tuple[CostRange, ...]
    unreachable: tuple[str, ...]
    counted_for: str = ""

    def text(self) -> RenderableType:
        """The explanation as something that rich prints."""
        from invsearch.explain.rendering import render

        return render(self)

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain data; an infinite size is null."""
        return {
            "name": self.name,
            "size": self.size if isinstance(self.size, int) else None,
            "size_is_exact": self.exact,
            "objectives": dict(self.objectives),
            "parameters": [vars(line) for line in self.parameters],
            "constants": dict(self.constants),
            "samples": [
                {"architecture": a.to_json(), "costs": dict(costs)} for a, costs in self.samples
            ],
            "ranges": {
                r.name: {
                    "low": r.low,
                    "high": r.high,
                    "method": r.method,
                    "cheapest": r.cheapest.to_json(),
                    "dearest": r.dearest.to_json(),
                }
                for r in self.ranges
            },
            "unreachable": list(self.unreachable),
            "counted_for": self.counted_for,
        }


def explain(space_file: SpaceFile, *, seed: int = 0) -> Explanation:
    """Check a space without running it.

    Args:
        space_file: The space.
        seed: Of the samples.

    Raises:
        InputError: If a network of one's own cannot be built, the function of ``costs:`` cannot be
            imported or fails wherever it is tried, or no architecture keeps a bound on what is
            known beforehand.
    """
    problem = problem_of(space_file)
    problem.check_built()
    check_feasible(problem)
    space, costs, rng = space_file.space, known_costs(problem), random.Random(seed)
    drawn = list(dict.fromkeys(space.sample(rng) for _ in range(4 * _SHOWN)))[:_SHOWN]
    return Explanation(
        name=space_file.name,
        size=space.size(),
        exact=space.size_is_exact,
        objectives=_objectives(space_file),
        parameters=tuple(_lines(space)),
        constants=space.constants,
        samples=tuple((architecture, dict(costs(architecture))) for architecture in drawn),
        ranges=tuple(cost_ranges(space, costs, rng, _ENUMERABLE, dear=problem.dear)),
        unreachable=tuple(_unreachable(space, rng)),
        counted_for=_counted_for(space_file),
    )


def _counted_for(space_file: SpaceFile) -> str:
    if space_file.model is None:
        return space_file.costs or ""
    if "task" in (*space_file.space.names, *space_file.space.constants):
        return "one image of the paper's size for the task, convention fvcore"
    side = space_file.model.resolution
    return f"one image of {side} x {side}, convention fvcore"


def costs_of(space_file: SpaceFile) -> Costs:
    """Return what is known of an architecture before evaluation: counted, or by ``costs:``."""
    return known_costs(problem_of(space_file))


def _objectives(space_file: SpaceFile) -> dict[str, str]:
    """By objective, its direction and the source of its values."""
    sources = problem_of(space_file).sources()
    return {
        name: f"{direction}, {sources.get(name, 'evaluated')}"
        for name, direction in space_file.objectives.items()
    }


def _lines(space: Space) -> Iterator[ParameterLine]:
    found: dict[tuple[str, str, str], int] = {}
    for parameter in space.parameters:
        condition = " and ".join(_clause_text(c) for c in space.conditions(parameter.name))
        key = (_alike(parameter.name), parameter.describe(), condition)
        found[key] = found.get(key, 0) + 1
    for (name, values, condition), count in found.items():
        yield ParameterLine(name, values, condition, count)


def _alike(text: str) -> str:
    return re.sub(r"\b(stage|block)\d+\b", r"\1N", text)


def _clause_text(clause: Clause) -> str:
    if not clause:
        return "never"
    names = {name.rpartition(".")[2] for term in clause for name, _ in term}
    if len(clause) > 1 and names == {"depth", "blocks"}:
        return "the block exists"
    terms = list(dict.fromkeys(_alike(_term_text(term)) for term in clause))
    text = " or ".join(terms)
    return f"({text})" if len(terms) > 1 else text


def _term_text(term: Term) -> str:
    parts = []
    for name, allowed in term:
        values = sorted("not set" if v is None else str(v) for v in allowed)
        parts.append(f"{name} is {' or '.join(values)}")
    return " and ".join(parts)


def _unreachable(space: Space, rng: random.Random) -> Iterator[str]:
    drawn = (space.sample(rng) for _ in range(_SAMPLES))
    seen = {item for architecture in drawn for item in architecture.items_}
    for parameter in space.parameters:
        if parameter.cardinality > _MAX_VALUES:
            continue
        for value in parameter.values():
            if (parameter.name, value) not in seen and not space.reaches(parameter.name, value):
                yield f"{parameter.name} = {show(value)}"
