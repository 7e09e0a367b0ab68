"""Contest: a setting in which strategies are compared, and the table of those we publish."""

from __future__ import annotations

from dataclasses import dataclass

from invsearch.bench.structures import STRUCTURES
from invsearch.errors import InputError, nearest
from invsearch.plugins import STRATEGIES, PluginError
from invsearch.search.strategies import Strategy

__all__ = ["GRAPHS", "TABLE", "Contest", "comparable", "known_strategies", "structures"]


@dataclass(frozen=True)
class Contest:
    """One setting in which strategies are compared.

    Attributes:
        name: What it is called in tables.
        space: A space with an evaluator that can be enumerated.
        trials: The budget.
        overrides: Changes of the space file, as for ``--set``.
        batch: How many trials are asked before any is told.
        structure: The made structure that is searched instead of a space file, by name.
    """

    name: str
    space: str
    trials: int
    overrides: tuple[str, ...] = ()
    batch: int = 1
    structure: str | None = None


_MACRO = "nas-bench-macro"
_NOISY = "evaluator=invsearch.bench.nas_bench_macro:one_training"
_THREE = "objectives={error: minimize, flops: minimize, params: minimize}"

TABLE: tuple[Contest, ...] = (
    Contest("30 trials", _MACRO, 30),
    Contest("100 trials", _MACRO, 100),
    Contest("300 trials", _MACRO, 300),
    Contest("100 trials, batches of 8", _MACRO, 100, batch=8),
    Contest("100 trials, one noisy training each", _MACRO, 100, (_NOISY,)),
    Contest("100 trials, three objectives", _MACRO, 100, (_THREE,)),
    Contest("100 trials without costs", _MACRO, 100, ("costs=null",)),
)
"""What ``invsearch bench-search`` runs when no space is named; a new one is one row."""


_GRAPH = "nas-bench-graph"
_OF = "invsearch.bench.nas_bench_graph"

GRAPHS: tuple[Contest, ...] = tuple(
    Contest(
        f"{data}, 100 trials{', latency known' if known else ''}",
        _GRAPH,
        100,
        (f"evaluator={_OF}:{data}", *([f"costs={_OF}:{data}_latency"] if known else [])),
    )
    for known in (False, True)
    for data in ("cora", "arxiv")
)
"""What ``invsearch bench-search graphs`` runs."""


def structures(trials: int, batch: int = 1, names: str = "") -> tuple[Contest, ...]:
    """A contest on every made structure (:mod:`invsearch.bench.structures`), or on those named.

    Args:
        trials: Of a search.
        batch: Trials asked at a time.
        names: Separated by commas; none are all.

    Raises:
        InputError: If there is none of that name.
    """
    made = [structure.name for structure in STRUCTURES]
    chosen = list(dict.fromkeys(names.split(","))) if names else made
    for name in chosen:
        if name not in made:
            hint = nearest(name, made)
            raise InputError(f"there is no structure {name!r}{hint}; there are: {', '.join(made)}")
    return tuple(Contest(one, "", trials, batch=batch, structure=one) for one in chosen)


def comparable() -> list[str]:
    """The strategies that have something to be compared: all but those that take every point.

    A plug-in that cannot be loaded is passed over: whoever asks for it by name is told why.
    """
    found = []
    for name in STRATEGIES:
        try:
            if not STRATEGIES.get(name, Strategy).enumerates:
                found.append(name)
        except PluginError:
            continue
    return found


def known_strategies(names: str) -> list[str]:
    """Split a comma-separated list of strategies; an empty one means all that are comparable.

    Raises:
        InputError: If one is unknown, or takes every architecture in turn.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    for name in chosen:
        if STRATEGIES.get(name, Strategy).enumerates:
            raise InputError(
                f"strategy {name!r} takes every architecture in turn: nothing is compared; "
                f"there are: {', '.join(comparable())}"
            )
    return chosen or comparable()
