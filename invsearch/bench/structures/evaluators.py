"""The evaluators of the structures, each by the name of its structure; costs end in ``_costs``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from invsearch.bench.structures.structure import Structure
from invsearch.bench.structures.table import get_structure

__all__: list[str] = []

_COSTS = "_costs"


def __getattr__(name: str) -> Callable[..., dict[str, float]]:
    try:
        if name.endswith(_COSTS):
            return get_structure(name.removesuffix(_COSTS)).costs
        return _evaluator(get_structure(name))
    except KeyError:
        raise AttributeError(f"there is no structure named {name}") from None


def _evaluator(structure: Structure) -> Callable[..., dict[str, float]]:
    def evaluate(values: Mapping[str, Any], context: Any) -> dict[str, float]:
        return structure.evaluate(values, context.seed)

    return evaluate
