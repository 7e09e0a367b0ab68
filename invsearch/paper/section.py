"""What a report shows of the reproduction: lines of the tables, and the paper's figures redrawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from invsearch.paper.lines import UNITS, lines
from invsearch.paper.reproduce import reproduce
from invsearch.paper.row import Row
from invsearch.paper.tables import published_table

__all__ = ["reproduction_section_data"]

COUNTED_TABLES = ("classification", "detection", "segmentation", "abstract", "ablation")

_AXES = {"macs_g": "MACs at 224 x 224 (G)", "params_m": "parameters (M)"}
_Y_LABEL = "published ImageNet top-1 accuracy (%)"
_OURS = "cost counted here (paper's convention), accuracy published"
_THEIRS = "cost and accuracy read off the paper's figure"


def reproduction_section_data(
    tables: Iterable[str] = COUNTED_TABLES, *, rows: Iterable[Row] | None = None
) -> dict[str, Any]:
    """Everything a page needs, as plain JSON-able data.

    Args:
        tables: Tables to reproduce; the default are those that are counted (seconds).
        rows: Rows that have been reproduced already; then ``tables`` is not used.

    Returns:
        ``tables``: for each its ``name`` and ``lines``, each with ``row``, ``quantity``, ``unit``,
        ``published``, ``status``, ``reproduced``, ``difference_percent``, ``tolerance_percent``,
        ``verdict``, ``known``, ``fvcore`` and ``like_for_like``. ``figures``: the paper's two, each
        with ``title``, ``x_label``, ``y_label`` and ``series``; a series has ``name``, ``family``,
        ``source`` (of its numbers, to be shown) and ``points`` of ``label``, ``x``, ``y`` and
        ``status``.
    """
    given = list(rows) if rows is not None else [row for t in tables for row in reproduce(t)]
    names = dict.fromkeys(row.table for row in given)
    return {
        "tables": [
            {"name": name, "lines": [_line(line) for line in lines(given) if line.table == name]}
            for name in names
        ],
        "figures": [_figure(quantity) for quantity in _AXES],
    }


def _line(line: Any) -> dict[str, Any]:
    return {
        **line.main.to_json(),
        "unit": UNITS.get(line.main.quantity, line.main.quantity),
        "known": line.main.known,
        "fvcore": line.fvcore,
        "like_for_like": line.like_for_like,
    }


def _figure(quantity: str) -> dict[str, Any]:
    ours = {
        row.row: row.reproduced
        for row in reproduce("classification")
        if row.quantity == quantity and row.convention == "paper"
    }
    classified, others = published_table("classification"), published_table("others_imagenet")
    points = [_point(line, "top1_paper", ours[line["model"]]) for line in classified]
    points_of_others = [_point(line, "top1", float(line[quantity])) for line in others]
    return {
        "title": f"Published accuracy against {_AXES[quantity].partition(' (')[0]}",
        "x_label": _AXES[quantity],
        "y_label": _Y_LABEL,
        "series": [*_series(points, _OURS), *_series(points_of_others, _THEIRS)],
    }


def _point(line: Mapping[str, str], accuracy: str, cost: float | None) -> dict[str, Any]:
    name = line["model"]
    return {"label": name, "x": cost, "y": float(line[accuracy]), "status": line["status"]}


def _series(points: Iterable[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    families: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        families.setdefault(_family(point["label"]), []).append(point)
    return [
        {"name": name, "family": name.lower(), "source": source, "points": own}
        for name, own in families.items()
    ]


def _family(name: str) -> str:
    """``SAN10 pairwise`` -> ``SAN pairwise``, ``RedNet-50`` -> ``RedNet``, else all but a size."""
    first, _, rest = name.partition(" ")
    if first.startswith("SAN"):
        return f"SAN {rest}"
    return name.rpartition("-")[0]
