"""NAS-Bench-Graph (Qin et al. 2022) as evaluators of a space; see spaces/nas-bench-graph.yaml.

A key that is no valid network has the worst values of the table.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from invsearch.bench.shared_table import shared_table

__all__ = ["arxiv", "arxiv_latency", "cora", "cora_latency", "table"]

_ERROR, _LATENCY = 0, 2  # of an entry; its second number is of parameters


def cora(values: Mapping[str, Any]) -> dict[str, float]:
    """Error (percent) and latency (ms) on Cora."""
    return _measured("cora", values)


def arxiv(values: Mapping[str, Any]) -> dict[str, float]:
    """Error (percent) and latency (ms) on ogbn-arxiv."""
    return _measured("arxiv", values)


def cora_latency(values: Mapping[str, Any]) -> dict[str, float]:
    """The latency on Cora, as a cost that is known."""
    return {"latency_ms": _measured("cora", values)["latency_ms"]}


def arxiv_latency(values: Mapping[str, Any]) -> dict[str, float]:
    """The latency on ogbn-arxiv, as a cost that is known."""
    return {"latency_ms": _measured("arxiv", values)["latency_ms"]}


def _measured(data: str, values: Mapping[str, Any]) -> dict[str, float]:
    link = str(values["link"]).removeprefix("l")
    entry = table(data)[",".join([link, *(values[f"op{place}"] for place in range(1, 5))])]
    return {"error": entry[_ERROR], "latency_ms": entry[_LATENCY]}


@cache
def table(data: str) -> dict[str, list[float]]:
    """Every network's entry on a data set, by its link and operators.

    Raises:
        InputError: If the table is not at hand.
    """
    path = shared_table("NAS-Bench-Graph", f"benchmarks/nas-bench-graph_{data}.json.gz")
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        found: dict[str, list[float]] = json.load(stream)
    return found
