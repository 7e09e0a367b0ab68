"""Latency of one network, measured in a fresh process under a lock on the device."""

from __future__ import annotations

import fcntl
import inspect
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ops
from invsearch.errors import TrialError
from invsearch.latency.parts import Part
from invsearch.metrics import Metric
from invsearch.models import NetworkSpec
from ops.timing.fresh_process import ask_fresh_process

__all__ = ["ask", "device_lock", "latency", "metric", "part_latencies"]

_WORKER = "invsearch.latency.worker"


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
    stale thread count nor its memory touches the figure. An OS file lock per device, held from
    before that process starts until it ends, keeps measurements on one machine apart.

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
    return metric(ask(spec, shape, device, threads, timeout_s))


def ask(
    spec: NetworkSpec,
    shape: Sequence[int],
    device: str,
    threads: int,
    timeout_s: float,
    *,
    layers: bool = False,
) -> dict[str, Any]:
    """Return the fresh process's reply about a network, with ``layers`` about each of its layers.

    Raises:
        TrialError: As :func:`latency`.
    """
    names = {block.operator for stage in spec.stages for block in stage.blocks}
    request = {
        "spec": spec.to_json(),
        "shape": list(shape),
        "device": device,
        "threads": threads,
        "operators": _origins(names),
        "layers": layers,
    }
    with device_lock(device) as lock:
        return _ask(request, lock, timeout_s)


def part_latencies(
    parts: Sequence[Part],
    *,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
    timeout_s: float = 600.0,
) -> list[Metric]:
    """Measure parts of networks, each alone, in one fresh process as :func:`latency` does.

    Args:
        parts: What to measure.
        batch_size: Images in the input.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: CPU threads of the process.
        timeout_s: Seconds for all of them; waiting for the lock is free.

    Returns:
        ``latency_ms`` of each.

    Raises:
        TrialError: As :func:`latency`.
    """
    request = {
        "parts": [part.to_json() for part in parts],
        "batch_size": batch_size,
        "device": device,
        "threads": threads,
        "operators": _origins({part.block.operator for part in parts if part.block}),
    }
    with device_lock(device) as lock:
        return [metric(figures) for figures in _ask(request, lock, timeout_s)["parts"]]


def metric(figures: Mapping[str, Any]) -> Metric:
    """``latency_ms`` from what the process replied of the network or of a layer."""
    return Metric(
        "latency_ms",
        figures["median_ms"],
        "measured",
        low=figures["low_ms"],
        high=figures["high_ms"],
        detail=figures["detail"],
    )


@contextmanager
def device_lock(device: str) -> Iterator[int]:
    """Hold this machine's lock on a device, waiting for it; yields the lock's file descriptor.

    A child process that inherits the descriptor keeps the lock until it has ended too.
    """
    name = re.sub(r"\W", "_", "cuda:0" if device == "cuda" else device)
    path = Path(tempfile.gettempdir()) / f"invsearch-{name}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _ask(request: Mapping[str, Any], lock: int, timeout_s: float) -> dict[str, Any]:
    where, threads = f"latency on {request['device']}", str(request["threads"])
    try:
        answer = ask_fresh_process(
            _WORKER,
            text=json.dumps(request),
            environment=dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads),
            timeout_s=timeout_s,
            pass_fds=(lock,),
        )
    except subprocess.TimeoutExpired as error:
        raise TrialError(f"{where}: not done in {timeout_s:g} s") from error
    if answer.code:
        raise TrialError(f"{where}: the measuring process: {answer.reason}")
    reply: dict[str, Any] = json.loads(answer.line)
    return reply


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
