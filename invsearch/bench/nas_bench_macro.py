"""NAS-Bench-Macro (Su et al. 2021) as the evaluator of a space; see spaces/nas-bench-macro.yaml."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from invsearch.bench.shared_table import shared_table

__all__ = ["costs", "evaluate", "one_training", "table"]

_OPERATORS = ("identity", "mb3_k3", "mb6_k5")
_FILE = "benchmarks/nas-bench-macro_cifar10.json"


def evaluate(values: Mapping[str, Any]) -> dict[str, float]:
    """Mean error of three trainings (percent), multiply-adds and parameters of a network."""
    entry = table()[_key(values)]
    return {"error": 100 - entry["mean_acc"], **_counted(entry)}


def one_training(values: Mapping[str, Any]) -> dict[str, float]:
    """The same with the error of one of the trainings, and the mean as ``true_error``."""
    key = _key(values)
    entry = table()[key]
    run = zlib.crc32(key.encode()) % len(entry["test_acc"])
    return {
        "error": 100 - entry["test_acc"][run],
        "true_error": 100 - entry["mean_acc"],
        **_counted(entry),
    }


def costs(values: Mapping[str, Any]) -> dict[str, float]:
    """Multiply-adds and parameters, known before any training."""
    return _counted(table()[_key(values)])


def _counted(entry: Mapping[str, Any]) -> dict[str, float]:
    return {"flops": entry["flops"], "params": entry["params"]}


def _key(values: Mapping[str, Any]) -> str:
    return "".join(str(_OPERATORS.index(values[f"p{place}"])) for place in range(1, 9))


@cache
def table() -> dict[str, Any]:
    """Every network's entry, by the digits of its operators.

    Raises:
        InputError: If the table is not at hand.
    """
    path = shared_table("NAS-Bench-Macro", _FILE)
    table: dict[str, Any] = json.loads(path.read_text())
    return table
