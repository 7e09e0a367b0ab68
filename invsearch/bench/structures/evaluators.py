"""The evaluators of the structures, each by the name of its structure; costs end in ``_costs``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from invsearch.bench.structures.structure import Structure
from invsearch.bench.structures.table import STRUCTURES

__all__: list[str] = []


def __getattr__(name: str) -> Callable[..., dict[str, float]]:
    for structure in STRUCTURES:
        if name == f"{structure.name}_costs":
            return structure.costs
        if name == structure.name:
            return _evaluator(structure)
    raise AttributeError(f"there is no structure named {name}")


def _evaluator(structure: Structure) -> Callable[..., dict[str, float]]:
    def evaluate(values: Mapping[str, Any], context: Any) -> dict[str, float]:
        return structure.evaluate(values, context.seed)

    return evaluate
