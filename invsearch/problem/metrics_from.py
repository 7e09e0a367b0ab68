"""From what a user's function returned to metrics, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from invsearch.errors import TrialError, nearest
from invsearch.metrics import Fidelity, Metric
from invsearch.user_code.failure import shown

__all__ = ["metrics_from"]

_PARTS = ("value", "low", "high")


def metrics_from(result: object, who: str, fidelity: Fidelity | None = None) -> dict[str, Metric]:
    """Turn what a user's function returned into metrics of source ``evaluated``.

    Values are numbers (or arrays and tensors of one), or mappings with ``value`` and optionally
    ``low`` and ``high``.

    Args:
        result: What it returned.
        who: The function, in words.
        fidelity: What was spent on them, if that is not everything.

    Raises:
        TrialError: If it is no mapping of names to finite numbers, an interval does not hold its
            value, or a mapping has other keys.
    """
    if not isinstance(result, Mapping):
        kind = type(result).__name__
        if hasattr(result, "close"):  # a generator or a coroutine, which warns where it is dropped
            result.close()
        raise TrialError(f"the {who} returned {kind}, expected a dict of metrics")
    return {
        _named(name, who): _metric(name, entry, who, fidelity) for name, entry in result.items()
    }


def _named(name: object, who: str) -> str:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise TrialError(
            f"the {who} returned a metric named {shown(name)}: names are printable text"
        )
    return str(name)


def _metric(name: str, entry: object, who: str, fidelity: Fidelity | None) -> Metric:
    parts = dict(entry) if isinstance(entry, Mapping) else {"value": entry}
    told = f"the {who} returned {name!r}: {shown(entry)}"
    for key in parts:
        if key not in _PARTS:
            hint = nearest(key, _PARTS)
            raise TrialError(
                f"{told}, with an unknown key {shown(key)}{hint}; allowed: value, low, high"
            )
    if parts.get("value") is None:
        raise TrialError(f"{told}, not a number")
    value, low, high = (_number(parts.get(part), told) for part in _PARTS)
    assert value is not None
    if (low is not None and low > value) or (high is not None and high < value):
        raise TrialError(f"{told}, whose interval does not hold its value: low <= value <= high")
    return Metric(str(name), value, "evaluated", low, high, fidelity)


def _number(value: Any, told: str) -> float | None:
    if value is None:
        return None
    try:
        if hasattr(value, "item"):  # of NumPy or torch
            value = value.item()
        number = float(value) if not isinstance(value, str | bytes | bytearray) else None
    except Exception:
        number = None
    if number is None:
        raise TrialError(f"{told}, not a number")
    if not math.isfinite(number):
        raise TrialError(f"{told}, not a finite number")
    return number
