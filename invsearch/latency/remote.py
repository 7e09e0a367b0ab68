"""Measuring on the node of a Ray cluster that has the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from invsearch.errors import InputError, TrialError
from invsearch.latency.measured import ask, ask_in_turns, origins
from invsearch.latency.target import Target
from invsearch.models import ModuleSpec, NetworkSpec

__all__ = ["ask_in_turns_on_node", "ask_on_node", "why_no_node"]

_SHARE = 0.001
"""Of the resource that marks the node: the lock on the device keeps measurements apart there, and
the trials of a search leave their workers' CPUs reserved while they are idle."""


def ask_on_node(
    resource: str,
    spec: NetworkSpec | ModuleSpec,
    shape: Sequence[int],
    target: Target,
    *,
    energy: bool = False,
) -> dict[str, Any]:
    """Measure as :func:`invsearch.latency.measured.ask` does, on a node that has a resource.

    Args:
        resource: As ``ray start --resources`` names it, or ``accelerator_type:A100``.
        spec: The network.
        shape: Input shape (B, C, H, W).
        target: Where and how it runs on that node.
        energy: Whether the device's energy counter is read.

    Returns:
        The reply, with the ``node`` in its ``detail``.

    Raises:
        InputError: If this process is on no cluster, or no node there has the resource.
        TrialError: If the measurement fails, or its node does.
    """
    operators = origins(spec)
    return _on_node(resource, partial(ask, spec, shape, target, energy=energy, operators=operators))


def ask_in_turns_on_node(
    resource: str, specs: Sequence[NetworkSpec | ModuleSpec], shape: Sequence[int], target: Target
) -> dict[str, Any]:
    """Measure as :func:`invsearch.latency.measured.ask_in_turns` does, on such a node.

    Raises:
        InputError: As :func:`ask_on_node`.
        TrialError: As :func:`ask_on_node`.
    """
    operators = origins(*specs)
    return _on_node(resource, partial(ask_in_turns, specs, shape, target, operators=operators))


def why_no_node(resource: str) -> str | None:
    """Why nothing can be measured on a node that has a resource; None if it can."""
    import ray

    if not ray.is_initialized():
        return f"a target's resource {resource!r} is on a Ray cluster: run with --executor ray"
    if not ray.cluster_resources().get(resource):
        there = ", ".join(sorted(ray.cluster_resources()))
        return f"no node of the Ray cluster has the resource {resource!r}: {there}"
    return None


def _on_node(resource: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    import ray

    problem = why_no_node(resource)
    if problem is not None:
        raise InputError(problem)
    remote = ray.remote(_measure).options(resources={resource: _SHARE}, num_cpus=0, max_retries=1)
    try:
        reply: dict[str, Any] = ray.get(remote.remote(measure))
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, TrialError) else TrialError(str(cause)) from None
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())
        raise TrialError(f"the node with {resource!r} did not answer: {reason}") from error
    return reply


def _measure(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    import socket

    import ray

    reply = measure()
    node_id = ray.get_runtime_context().get_node_id()
    reply["detail"] |= {"node": socket.gethostname(), "node_id": node_id}
    return reply
