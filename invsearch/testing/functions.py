"""Evaluators that cost nothing, for the suites' space files; importable on every worker."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invsearch.problem.context import TrialContext

__all__ = ["cornered", "costs", "landscape", "leaving", "reporting", "troubled"]


def costs(values: Mapping[str, Any]) -> dict[str, float]:
    """What is known before an evaluation."""
    width = values.get("kernel", 1) ** 2 + values.get("groups", 0)
    return {"size": float(values["depth"] * width)}


def landscape(values: Mapping[str, Any]) -> dict[str, float]:
    """Four metrics that pull in different directions."""
    error = (values["depth"] - 3) ** 2 / 10 + (0.5 if values["op"] == "inv" else 1.0)
    error += abs(math.log10(values.get("rate", 0.01)) + 2) / 5
    deep, large = values["depth"], costs(values)["size"]
    return {"error": error, "size": large, "reach": deep * 1.5 + error, "waste": large / deep}


def troubled(values: Mapping[str, Any]) -> dict[str, float]:
    """The same, with every way in which an evaluation can fail."""
    if values["depth"] == 1:
        raise ValueError("too shallow")
    if values["depth"] == 2:
        return {**landscape(values), "error": math.nan}
    if values["depth"] == 3:
        raise MemoryError
    if values["depth"] == 4:
        return {"error": 1.0}
    return landscape(values)


def leaving(values: Mapping[str, Any]) -> dict[str, float]:
    """The same, where half of the evaluations end by more than an error, and one elsewhere."""
    if values["depth"] == 1:
        sys.exit(0)
    if values["depth"] == 2:
        raise BaseException("caf\udce9")
    if values["depth"] == 3:
        raise KeyboardInterrupt
    if values["depth"] == 4:
        os.chdir("/")
    return landscape(values)


def reporting(values: Mapping[str, Any], context: TrialContext) -> dict[str, float]:
    """The same, with three reports on the way."""
    end = landscape(values)
    for step in (1, 2, 3):
        if context.report(step, {**end, "error": end["error"] + 1 / step}):
            break
    return end


def cornered(values: Mapping[str, Any]) -> dict[str, float]:
    """The same, but half of the space fails."""
    if values["depth"] <= 3:
        raise ValueError("too shallow")
    return landscape(values)
