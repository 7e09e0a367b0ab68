"""Whether the device of a target can be reached from here, to measure whole networks on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.latency.differences import differences
from invsearch.latency.place import Place
from invsearch.latency.remote import why_no_node
from invsearch.latency.runtimes import Runtime
from invsearch.latency.tabled import conditions
from invsearch.plugins import RUNTIMES

__all__ = ["why_unreached"]

_SAME = ("cpu_model", "logical_cores", "gpu")
"""Facts of a latency's conditions that the machine alone decides; a target's settings are in the
place already, and where torch is another the front's networks are all measured anew."""


def why_unreached(place: Place, machines: Sequence[Mapping[str, Any]]) -> str | None:
    """Why a target's device cannot be measured on from here; None where it can.

    Args:
        place: The target.
        machines: Facts about the machines that its latencies are of so far.
    """
    if place.resource is not None:
        return why_no_node(place.resource)
    target = place.target
    problem = RUNTIMES.get(target.runtime, Runtime).problem(target.device, target.dtype)
    if problem is not None:
        return problem
    here = conditions(target, (1, 1, 1))
    for machine in machines:
        said = {key: machine[key] for key in _SAME if key in machine and key in here}
        changed = differences(said, {key: here[key] for key in said})
        if changed:
            return f"its latencies are of another machine ({changed})"
    return None
