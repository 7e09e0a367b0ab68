"""Rows: what each source is worth on a space, from its lines."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invsearch.accuracy.told import ONCE, SUPERNET, TRAINED, Line
from invsearch.metrics import Direction
from invsearch.runs.ranking import Tau, rank_agreement

__all__ = ["Row", "rows_of", "useless"]

_OF_SUPERNETS = ("error", "val_loss")  # lower for the better


@dataclass(frozen=True)
class Row:
    """A source on a space.

    Attributes:
        source: Its name; ``trained`` is one training of another seed than those it is judged by.
        found: Its agreement with the mean over seeds.
        cpu_seconds: Of one network, the median. A supernet's own training is in ``once``.
        told: Networks of which it could tell something.
        once: CPU seconds that were spent before the first network.
    """

    source: str
    found: Tau
    cpu_seconds: float
    told: int
    once: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        found = self.found
        return {
            "source": self.source,
            "tau": found.tau,
            "low": found.low,
            "high": found.high,
            "cpu_seconds": self.cpu_seconds,
            "equal_cost": {
                "tau": found.equal_cost, "low": found.equal_low, "high": found.equal_high,
            },
            "networks": found.n,
            **({"cpu_seconds_once": self.once} if self.once else {}),
        }  # fmt: skip


def rows_of(
    lines: Iterable[Line],
    metric: str,
    direction: Direction,
    params: Mapping[str, float],
) -> list[Row]:
    """Judge every source by the means over the seeds of the trainings.

    Args:
        lines: Of all sources.
        metric: By which networks are ranked.
        direction: In which it is better.
        params: By architecture, its parameters: at equal cost means at an equal number of these.
    """
    every, sign = list(lines), 1.0 if direction == "minimize" else -1.0
    once = {line.source: line.cpu_seconds for line in every if line.architecture == ONCE}
    lines = [line for line in every if line.architecture != ONCE]
    losses: dict[str, list[float]] = {}
    for line in sorted(lines, key=lambda line: line.seed):
        if line.source == TRAINED and metric in line.values:
            losses.setdefault(line.architecture, []).append(sign * line.values[metric])
    means = {key: statistics.fmean(found) for key, found in losses.items()}
    rows = []
    for name, told in _values(lines).items():
        own = {key: value for key, (value, _) in told.items() if key in means}
        if not any(own.values()):  # the share of an operator that no network has
            continue
        seconds = statistics.median(seconds for _, seconds in told.values())
        spent = once.get(name.partition("/")[0], 0.0)
        rows.append(Row(name, _agreement(own, means, params), seconds, len(own), spent))
    trained = _trained_row(lines, losses, params)
    return [*rows, *([trained] if trained else [])]


def useless(row: Row, rows: Sequence[Row]) -> bool:
    """Whether a source ranks no better than the number of parameters, which costs nothing."""
    floor = next((one.found.tau for one in rows if one.source == "params"), None)
    tau = row.found.tau
    return row.source != "params" and (tau is None or (floor is not None and tau <= floor))


def _values(
    lines: Sequence[Line],
) -> dict[str, dict[str, tuple[float, float]]]:
    """By source and architecture, its value (higher for the better) and its CPU seconds."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for line in lines:
        if line.source == SUPERNET:  # by its error: its loss misleads once it overfits
            told = {
                SUPERNET if name == "error" else f"{SUPERNET}/{name}": -line.values[name]
                for name in _OF_SUPERNETS
                if name in line.values
            }
        elif line.source == TRAINED:
            continue
        else:
            told = dict(line.values)
        for name, value in told.items():
            found.setdefault(name, {})[line.architecture] = (value, line.cpu_seconds)
    return found


def _trained_row(
    lines: Sequence[Line], losses: Mapping[str, Sequence[float]], params: Mapping[str, float]
) -> Row | None:
    """One training against the mean of the others: what no cheaper source can be asked to beat."""
    several = {key: found for key, found in losses.items() if len(found) > 1}
    if not several:
        return None
    first = {key: -found[0] for key, found in several.items()}
    others = {key: statistics.fmean(found[1:]) for key, found in several.items()}
    seconds = statistics.median(one.cpu_seconds for one in lines if one.source == TRAINED)
    return Row(TRAINED, _agreement(first, others, params), seconds, len(first))


def _agreement(
    values: Mapping[str, float], losses: Mapping[str, float], params: Mapping[str, float]
) -> Tau:
    keys = [key for key in values if key in losses]
    return rank_agreement(
        [values[key] for key in keys], [losses[key] for key in keys], [params[key] for key in keys]
    )
