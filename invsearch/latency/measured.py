"""Latency of one network, measured in a fresh process under a lock on the device."""

from __future__ import annotations

import inspect
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ops
from invsearch.device_lock import alone
from invsearch.errors import TrialError
from invsearch.latency.lane import undisturbed
from invsearch.latency.parts import Part
from invsearch.latency.target import HERE, Target
from invsearch.metrics import Metric
from invsearch.models import ModuleSpec, NetworkSpec
from invsearch.models.replacement import KEEP
from ops.timing.fresh_process import ask_fresh_process

__all__ = ["ask", "ask_in_turns", "latency", "metric", "origins", "part_latencies"]

_WORKER = "invsearch.latency.worker"

_KEEPS_PAGES = {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20)}
"""Of the measuring process: glibc keeps what it was given, as jemalloc and tcmalloc do.

Else it may return the memory of a pass to the system and ask for it again in the next, or not,
as its heap happens to lie: of one network in several processes 14.3, 14.4 and 20.2 ms, and 14.4,
14.6 and 14.2 so (RedNet-26 of width 0.75, one thread). 32 MiB is the most that glibc takes.
"""
_ENERGY_WINDOW_S = 2.0  # twenty updates of a counter that some GPUs update every 100 ms


def latency(
    spec: NetworkSpec,
    *,
    shape: Sequence[int],
    device: str = "cpu",
    threads: int = 1,
    timeout_s: float = 600.0,
) -> Metric:
    """Measure the latency of one forward pass of the whole batch, in eval mode.

    A fresh process builds the network and times it with :func:`ops.measure`, so neither a worker's
    stale thread count nor its memory touches the figure. The device's lock is held alone from
    before that process starts until it ends; see :mod:`invsearch.device_lock`.

    Args:
        spec: The network; it runs in the channels-last memory format.
        shape: Input shape (B, C, H, W).
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: CPU threads of the process, set before torch is imported there.
        timeout_s: Seconds after which the measurement is given up; waiting for the lock is free.

    Returns:
        ``latency_ms``: the median, with its 95 % interval, source ``measured``; ``detail`` holds
        the settings, the niceness, the number of samples and the environment.

    Raises:
        TrialError: If the process fails or takes too long, with the last line it wrote.
    """
    return metric(ask(spec, shape, Target(device, threads), timeout_s))


def ask(
    spec: NetworkSpec | ModuleSpec,
    shape: Sequence[int],
    target: Target,
    timeout_s: float = 600.0,
    *,
    layers: bool = False,
    energy: bool = False,
    operators: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Return the fresh process's reply about a network.

    Where the target wants it undisturbed, a disturbed measurement is taken again, after a wait that
    doubles; those that were rejected are kept in the reply's ``detail``.

    Args:
        spec: The network.
        shape: Input shape (B, C, H, W).
        target: Where and how it runs.
        timeout_s: Seconds after which a measurement is given up; waiting for the lock is free.
        layers: Whether each layer is timed too.
        energy: Whether the device's energy counter is read, over further seconds.
        operators: Where its operators come from, by :func:`origins`; None to find it here.

    Returns:
        ``median_ms``, ``low_ms``, ``high_ms`` and ``detail``; ``peak_memory_bytes``; ``energy``;
        ``layers`` by name.

    Raises:
        TrialError: As :func:`latency`, and if every measurement was disturbed.
    """
    request = {
        **_described(spec),
        "shape": list(shape),
        "target": target.to_json(),
        "operators": origins(spec) if operators is None else operators,
        "layers": layers,
        "energy_window": _ENERGY_WINDOW_S if energy else 0.0,
    }
    return _accepted(request, target, timeout_s)


def ask_in_turns(
    specs: Sequence[NetworkSpec | ModuleSpec],
    shape: Sequence[int],
    target: Target,
    timeout_s: float = 600.0,
    *,
    operators: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Return the fresh process's reply about several networks, a sample of each in turns.

    What drifts, drifts for all of them alike, so that their order is theirs.

    Args:
        specs: The networks.
        shape: Input shape (B, C, H, W) of each.
        target: Where and how they run.
        timeout_s: Seconds a network, after which a measurement is given up.
        operators: Where their operators come from, by :func:`origins`; None to find it here.

    Returns:
        ``networks``, for each what :func:`ask` returns of its time; ``ties``, for each the places
        of those whose time is the same within the 95 % interval of the rounds' ratios; ``detail``.

    Raises:
        TrialError: As :func:`ask`.
    """
    request = {
        "networks": [_described(spec) for spec in specs],
        "shape": list(shape),
        "target": target.to_json(),
        "operators": origins(*specs) if operators is None else operators,
    }
    return _accepted(request, target, timeout_s * len(specs))


def _described(spec: NetworkSpec | ModuleSpec) -> dict[str, Any]:
    paths = list(spec.search_paths) if isinstance(spec, ModuleSpec) else []
    return {"spec": spec.to_json(), "paths": paths}


def _accepted(request: Mapping[str, Any], target: Target, timeout_s: float) -> dict[str, Any]:
    def measure() -> dict[str, Any]:
        with alone(target.device) as lock:
            return _ask(request, lock, timeout_s)

    return undisturbed(measure, target.device) if target.undisturbed else measure()


def part_latencies(
    networks: Sequence[Sequence[Part]],
    *,
    batch_size: int = 1,
    target: Target = HERE,
    timeout_s: float = 600.0,
) -> list[Metric]:
    """Measure parts of networks, each alone, in one fresh process as :func:`latency` does.

    Args:
        networks: Parts that take turns, as a network's do, one network after the other.
        batch_size: Images in the input.
        target: Where and how they run.
        timeout_s: Seconds for all of them; waiting for the lock is free.

    Returns:
        ``latency_ms`` of each part, in order, over all networks.

    Raises:
        TrialError: As :func:`latency`.
    """
    request = {
        "parts": [[part.to_json() for part in parts] for parts in networks],
        "batch_size": batch_size,
        "target": target.to_json(),
        "operators": _origins(
            {part.block.operator for parts in networks for part in parts if part.block}
        ),
    }
    with alone(target.device) as lock:
        return [metric(figures) for figures in _ask(request, lock, timeout_s)["parts"]]


def metric(figures: Mapping[str, Any], name: str = "latency_ms") -> Metric:
    """``latency_ms`` from what the process replied of the network or of a layer."""
    return Metric(
        name,
        figures["median_ms"],
        "measured",
        low=figures["low_ms"],
        high=figures["high_ms"],
        detail=figures["detail"],
    )


def _ask(request: Mapping[str, Any], lock: int, timeout_s: float) -> dict[str, Any]:
    target = request["target"]
    where, threads = f"latency on {target['device']}", str(target["threads"])
    try:
        answer = ask_fresh_process(
            _WORKER,
            text=json.dumps(request),
            environment={
                **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads),
                **_KEEPS_PAGES,
            },
            timeout_s=timeout_s,
            pass_fds=(lock,),
        )
    except subprocess.TimeoutExpired as error:
        raise TrialError(f"{where}: not done in {timeout_s:g} s") from error
    if answer.code:
        raise TrialError(f"{where}: the measuring process: {answer.reason}")
    reply: dict[str, Any] = json.loads(answer.line)
    return reply


def origins(*specs: NetworkSpec | ModuleSpec) -> list[dict[str, str]]:
    """Where networks' operators come from that `ops` itself does not register.

    A builder's module brings those that it uses itself.
    """
    return _origins(set[str]().union(*map(_operators, specs)))


def _operators(spec: NetworkSpec | ModuleSpec) -> set[str]:
    if isinstance(spec, ModuleSpec):
        return {rule.operator for rule in spec.replace} - {KEEP}
    return {block.operator for stage in spec.stages for block in stage.blocks}


def _origins(operators: Iterable[str]) -> list[dict[str, str]]:
    """Where operators come from that `ops` itself does not register."""
    origins = []
    for name in sorted(operators):
        build = ops.get(name).build
        if not build.__module__.startswith("ops."):
            file = inspect.getsourcefile(build)
            path = str(Path(file).resolve()) if file else ""
            origins.append({"name": name, "module": build.__module__, "file": path})
    return origins
