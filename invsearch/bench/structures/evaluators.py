"""The evaluators of the structures, each by the name of its structure; costs end in ``_costs``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from invsearch.bench.structures.structure import Structure
from invsearch.bench.structures.table import get_structure

__all__: list[str] = []

_COSTS = "_costs"


def __getattr__(name: str) -> Callable[..., dict[str, float]]:
    with suppress(KeyError):
        return _evaluator(get_structure(name))  # first: the names of some end in _costs
    with suppress(KeyError):
        return get_structure(name.removesuffix(_COSTS)).costs
    raise AttributeError(f"there is no structure named {name}")


def _evaluator(structure: Structure) -> Callable[..., dict[str, float]]:
    def evaluate(values: Mapping[str, Any], context: Any) -> dict[str, float]:
        return structure.evaluate(values, context.seed)

    return evaluate
