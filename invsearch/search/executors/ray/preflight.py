"""Preflight: every node that may run a trial is looked at before the first one does."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invsearch.errors import ManifoldError
from invsearch.runs import describe
from invsearch.search.executors.machines import running
from invsearch.search.executors.ray.need import Need
from invsearch.search.executors.ray.node import Asked, Found, inspect, unseen
from invsearch.search.executors.ray.presence import LOOK_S, is_lost, is_present

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["preflight"]

# A worker's first start. Derived: 2 GB of torch and CUDA libraries at 20 MB/s from a cold disk are
# 100 s, the list of ImageNet's 1.3 M files at 5,000 a second 260 s; with room. 90 s were too few on
# a busy machine. Who is lost is seen at once, so only a hang takes it all.
_PREFLIGHT_S = 600.0
_LOST = object()


def preflight(
    problem: Problem, need: Need, checkpoints: Path, *, shared: bool
) -> list[Mapping[str, Any]]:
    """Look at every node that can run a trial.

    Each imports what an evaluation needs and loads its data, tells its versions and devices, and
    writes a file where checkpoints go; where that must be shared, each then reads every other's. A
    node that is lost meanwhile is passed over, as it is later.

    Args:
        problem: What is searched.
        need: What a trial takes of a node.
        checkpoints: The folder of checkpoints.
        shared: Whether all nodes must see the same one.

    Returns:
        The nodes' environments.

    Raises:
        ManifoldError: A line for each thing that is wrong; it names the node.
    """
    import ray
    from ray import cloudpickle

    nodes = {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and need.slots(node["Resources"])
    }
    run = secrets.token_hex(4)
    marks = {node: f".preflight-{run}-{node[:12]}" for node in nodes}
    packed, versions = cloudpickle.dumps(problem), running(describe())
    try:
        found = _on_each(
            nodes,
            inspect,
            lambda node: (
                Asked(packed, versions, need.gpus, str(checkpoints), marks[node], shared),
            ),
        )
        reasons = [(node, reason) for node, one in found.items() for reason in _reasons(one)]
        if shared and not reasons:
            there = {node: marks[node] for node in found}
            reasons = list(_not_shared(nodes, checkpoints, there))
    finally:
        for mark in marks.values():
            (checkpoints / mark).unlink(missing_ok=True)
    if reasons:
        raise ManifoldError([f"node {nodes[node]}: {reason}" for node, reason in reasons])
    return [one.environment for one in found.values() if isinstance(one, Found)]


def _not_shared(
    nodes: Mapping[str, str], folder: Path, marks: Mapping[str, str]
) -> Iterable[tuple[str, str]]:
    here = [node for node, mark in marks.items() if unseen(str(folder), [mark])]
    for node in here:
        yield node, f"what it writes to {folder} is not seen by the driver: {_SHARE}"
    others = _on_each(marks, unseen, lambda node: (str(folder), list(marks.values())))
    names = {mark: nodes[node] for node, mark in marks.items()}
    for node, answer in others.items():
        if isinstance(answer, str):
            yield node, answer
        elif answer and not here:
            missing = ", ".join(dict.fromkeys(names[mark] for mark in answer))
            yield node, f"it does not see what {missing} writes to {folder}: {_SHARE}"


_SHARE = "cluster.storage_path must be one folder that all nodes mount"


def _reasons(found: Found | str) -> Sequence[str]:
    return (found,) if isinstance(found, str) else found.reasons


def _on_each(
    nodes: Iterable[str], function: Callable[..., Any], arguments: Callable[[str], tuple[Any, ...]]
) -> dict[str, Any]:
    """What a function returns on each node; a text where it could not be run."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(num_cpus=0, max_retries=0)(function)
    tasks = {
        node: remote.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        ).remote(*arguments(node))
        for node in nodes
    }
    deadline = time.monotonic() + _PREFLIGHT_S
    answers = {node: _answer(node, task, deadline) for node, task in tasks.items()}
    return {node: answer for node, answer in answers.items() if answer is not _LOST}


def _answer(node: str, task: Any, deadline: float) -> Any:
    """What a task returns; a text where it could not be run, ``_LOST`` where its node is gone."""
    import ray

    while True:
        try:
            return ray.get(task, timeout=LOOK_S)
        except ray.exceptions.GetTimeoutError:
            if not is_present(node):
                return _LOST
            if time.monotonic() > deadline:
                return f"no worker of it answered within {_PREFLIGHT_S:.0f} s"
        except Exception as error:
            if is_lost(node, error):
                return _LOST
            reason = " ".join(str(error).split())[-300:]  # the end of a traceback says why
            return (
                f"a worker there could not start: {type(error).__name__}: {reason}; install the "
                "same invsearch on every node"
            )
