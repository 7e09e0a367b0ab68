"""Hints of cheap sources to the sampler: a closed form's own, and a model of every other's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from invsearch.search.warm_start import Additive

if TYPE_CHECKING:
    from invsearch.accuracy.hints import Hints
    from invsearch.problem.problem import Problem

__all__ = ["SourceHints", "source_hints"]

_ENOUGH = 16  # answers: of fewer a model of a dozen choices would be noise
_REMEMBERED = 50_000  # as many as costs are


@dataclass(frozen=True)
class SourceHints:
    """What the sources of a problem say of a point.

    Attributes:
        of: The numbers.
        count: How many.
    """

    of: Callable[[Mapping[str, Any]], list[float]]
    count: int


def source_hints(problem: Problem) -> SourceHints | None:
    """What the sources of a problem say of points; None where it has none.

    Always as many numbers: a source that could not tell of most of the sample is left out, and
    the model answers for what it could not tell.
    """
    hints = problem.hints
    if hints is None:
        return None
    models = list(_models(hints).values())
    space, found = problem.space, hints
    counted = sorted(found.count(found.sample[0])) if found.counted else []

    @lru_cache(_REMEMBERED)
    def known(architecture: Any) -> list[float]:
        told = found.count(architecture) if counted else {}
        return [told.get(name, 0.0) for name in counted]

    def hinted(point: Mapping[str, Any]) -> list[float]:
        architecture = space.canonical(point)
        return [*known(architecture), *(model(architecture) for model in models)]

    count = len(models) + len(counted)
    return SourceHints(hinted, count) if count else None


def _models(hints: Hints) -> dict[str, Additive]:
    """By name, a model of what a source said of the sample."""
    told: dict[str, list[tuple[Mapping[str, Any], float]]] = {}
    for architecture in hints.sample if hints.sampled else ():
        for name, value in hints.ask(architecture, hints.sampled).items():
            told.setdefault(name, []).append((architecture, value))
    return {
        name: Additive([point for point, _ in pairs], [value for _, value in pairs])
        for name, pairs in told.items()
        if len(pairs) >= _ENOUGH
    }
