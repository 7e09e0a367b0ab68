"""Data of the figures: points under a roofline, and bars for each shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invsearch.bench.case import Result
from ops.timing import Roofline

__all__ = ["bars", "ceiling", "roofline_points"]


def roofline_points(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A point for each counted candidate: `case`, `candidate`, `intensity`, `gflops`, `roofline`.

    The intensity is in operations a byte that must be moved at least.
    """
    roof, points = Roofline(**document["roofline"]), []
    for data in document["cases"]:
        result = Result.from_dict(data)
        for name, cost in result.costs.items():
            rates = result.rates(name, roof)
            if rates is not None:
                intensity = cost.flops / cost.moved_bytes
                points.append(
                    {"case": result.name, "candidate": name, "intensity": intensity, **rates}
                )
    return points


def ceiling(
    document: Mapping[str, Any], low: float = 0.1, high: float = 1000.0
) -> list[tuple[float, float]]:
    """The roof as (intensity, GFLOP/s): its two ends and the ridge between them."""
    roof = Roofline(**document["roofline"])
    ridge = roof.gflops / roof.gbytes_per_s
    corners = sorted({low, min(max(ridge, low), high), high})
    return [(x, min(roof.gflops, x * roof.gbytes_per_s)) for x in corners]


def bars(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A bar for each candidate of each case: `case`, `candidate`, `latency_ms`, `low`, `high`."""
    found = []
    for data in document["cases"]:
        result = Result.from_dict(data)
        for name, one in result.comparison.measurements.items():
            low, high = one.interval_ms
            found.append(
                {
                    "case": result.name,
                    **{
                        key: result.facts.get(key) for key in ("operator", "shape", "batch", "mode")
                    },
                    "candidate": name,
                    "latency_ms": one.median_ms,
                    "low": low,
                    "high": high,
                }
            )
    return found
