"""How far predictions of latency are off, with intervals, and the table that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from invsearch.runs.ranking import kendall, with_interval

__all__ = ["Predicted", "composition_table", "row_of"]

_RESAMPLES = 1000  # ends of a 95 % interval then stand on 25 values each
_FARTHEST = 0.9  # the quantile beside the median: how far off one of ten networks may be


@dataclass(frozen=True)
class Predicted:
    """What was said of some networks, and what they took.

    Attributes:
        said_ms: Of each.
        took_ms: Of each.
    """

    said_ms: Sequence[float]
    took_ms: Sequence[float]


def row_of(way: str, found: Predicted) -> dict[str, Any]:
    """The errors of one way to predict.

    Returns:
        ``median`` and ``p90`` of the relative error and ``tau``, Kendall's, each as ``value``,
        ``low`` and ``high``, the ends of its 95 % interval by a bootstrap over networks.
    """
    said, took = np.array(found.said_ms), np.array(found.took_ms)
    off = np.abs(said / took - 1.0)

    def quantile(share: float) -> dict[str, float | None]:
        return _figure(lambda rows: float(np.quantile(off[rows], share)), len(off))

    return {
        "way": way,
        "median": quantile(0.5),
        "p90": quantile(_FARTHEST),
        "tau": _figure(lambda rows: kendall(said[rows], took[rows]), len(off)),
    }


def _figure(figure: Any, count: int) -> dict[str, float | None]:
    value, low, high = with_interval(figure, count, _RESAMPLES)
    return {"value": value, "low": low, "high": high}


def composition_table(found: Mapping[str, Any]) -> Any:
    """The document as a table."""
    from rich.table import Table

    table = Table(
        "runtime", "blocks by", "networks", "by", "median error", "90th percentile", "Kendall's tau"
    )
    for runtime, one in found["runtimes"].items():
        for row in one["rows"]:
            head = (runtime, one["blocks_by"], str(len(one["networks"])))
            table.add_row(
                *head, row["way"], _share(row["median"]), _share(row["p90"]), _number(row["tau"])
            )
        table.add_section()
    return table


def _share(figure: Mapping[str, Any]) -> str:
    return _ends(figure, ".1%")


def _number(figure: Mapping[str, Any]) -> str:
    return _ends(figure, ".3f")


def _ends(figure: Mapping[str, Any], how: str) -> str:
    if None in figure.values():
        return "-"
    value, low, high = (format(figure[end], how) for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
