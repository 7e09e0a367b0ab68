"""The lane: a measurement that something disturbed is kept as rejected, and taken again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from invsearch.errors import TrialError

__all__ = ["DisturbedError", "disturbances", "undisturbed"]

ATTEMPTS = 6
"""Measurements of one network at most: five waits, 31 s together, outlast a burst of other work."""

_FIRST_WAIT_S = 1.0
"""Doubled after each rejected measurement, with nobody kept waiting at the device's lock."""


class DisturbedError(TrialError):
    """Every measurement was disturbed."""


def disturbances(figures: Mapping[str, Any]) -> list[str]:
    """What disturbed a measurement, by its flags; see :class:`ops.timing.Conditions`."""
    return [str(flag) for flag in figures["detail"]["flags"]]


def undisturbed(
    measure: Callable[[], dict[str, Any]],
    device: str,
    *,
    wait: Callable[[float], object] = time.sleep,
) -> dict[str, Any]:
    """Measure until nothing disturbs it; a rejected measurement never becomes a number.

    Args:
        measure: Takes one measurement, of a network or of several in turns.
        device: For the message.
        wait: Waits so many seconds.

    Returns:
        The first undisturbed one; its ``detail`` holds the ``rejected`` ones, each with its median
        and what disturbed it.

    Raises:
        DisturbedError: If none was undisturbed.
        TrialError: If one failed.
    """
    rejected: list[dict[str, Any]] = []
    for attempt in range(ATTEMPTS):
        figures = measure()
        reasons = disturbances(figures)
        if not reasons:
            if rejected:
                figures["detail"]["rejected"] = rejected
            return figures
        rejected.append({"median_ms": figures["median_ms"], "flags": reasons})
        if attempt + 1 < ATTEMPTS:
            wait(_FIRST_WAIT_S * 2**attempt)
    last = "; ".join(rejected[-1]["flags"])
    raise DisturbedError(
        f"latency on {device}: {ATTEMPTS} measurements in a row were disturbed ({last}): free the"
        " device, or accept such figures with undisturbed: false"
    )
