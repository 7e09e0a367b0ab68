"""Contest: a setting in which strategies are compared, and the table of those we publish."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from invsearch.bench.structures import STRUCTURES
from invsearch.errors import InputError, nearest
from invsearch.plugins import STRATEGIES, PluginError
from invsearch.search.strategies import Strategy
from invsearch.space import load_space_file

__all__ = ["GRAPHS", "TABLE", "Contest", "comparable", "identity", "known_strategies", "structures"]


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


def identity(contest: Contest) -> dict[str, Any]:
    """What tells a contest from every other, its space file's text included; plain data.

    Raises:
        InputError: If there is no such space.
    """
    file = load_space_file(contest.space, contest.overrides).path if contest.space else None
    return {**asdict(contest), "text": file.read_text(encoding="utf-8") if file else ""}


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


def structures(trials: int, batch: int = 1, names: str = "", draw: int = 0) -> tuple[Contest, ...]:
    """A contest on every made structure (:mod:`invsearch.bench.structures`), or on those named.

    Args:
        trials: Of a search.
        batch: Trials asked at a time.
        names: Separated by commas; none are all.
        draw: Of their numbers; 0 is what was looked at while strategies were made.

    Raises:
        InputError: If there is none of that name.
    """
    made = [structure.name for structure in STRUCTURES]
    chosen = list(dict.fromkeys(part.strip() for part in names.split(","))) if names else made
    for name in chosen:
        if name not in made:
            hint = nearest(name, made)
            raise InputError(f"there is no structure {name!r}{hint}; there are: {', '.join(made)}")
    return tuple(
        Contest(
            f"{one}, draw {draw}" if draw else one,
            "",
            trials,
            batch=batch,
            structure=f"{one}__{draw}" if draw else one,
        )
        for one in chosen
    )


def comparable() -> list[str]:
    """The strategies that have something to be compared: all but those that take every point.

    Those that take seconds a proposal, and a plug-in that cannot be loaded, are passed over:
    whoever asks for one by name gets it, or is told why not.
    """
    found = []
    for name in STRATEGIES:
        try:
            strategy = STRATEGIES.get(name, Strategy)
            if not strategy.enumerates and not strategy.slow:
                found.append(name)
        except PluginError:
            continue
    return found


def known_strategies(names: str) -> list[str]:
    """Split a comma-separated list of strategies; an empty one means all that are comparable.

    Raises:
        InputError: If one is unknown, or takes every architecture in turn.
    """
    chosen = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in chosen:
        if STRATEGIES.get(name, Strategy).enumerates:
            raise InputError(
                f"strategy {name!r} takes every architecture in turn: nothing is compared; "
                f"there are: {', '.join(comparable())}"
            )
    return chosen or comparable()
