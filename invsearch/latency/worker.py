"""The process that measures latency: JSON on standard input, JSON on standard output."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from invsearch.latency.runtimes import Runtime
    from invsearch.latency.target import Target
    from ops import Measurement

__all__ = ["main"]


def main() -> None:
    """Read a request, measure, write the reply as the last line of standard output."""
    request = json.loads(sys.stdin.read())
    with suppress(OSError):  # raising the priority back needs rights that few processes have
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    print(json.dumps(_measure(request)))


def _measure(request: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    torch.set_num_threads(request["target"]["threads"])
    for origin in request["operators"]:
        _register(origin)
    if "parts" in request:
        return _time_parts(request)
    if "networks" in request:
        return _time_in_turns(request)
    return _time_network(request)


def _time_network(request: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    import ops
    from invsearch.latency.layers import time_layers
    from invsearch.latency.peak_memory import PeakMemory
    from invsearch.latency.placing import placed
    from invsearch.latency.target import Target
    from invsearch.models import Network
    from ops.timing.measure import random_input

    shape, target = tuple(request["shape"]), Target.from_json(request["target"])
    runtime = _runtime(target)
    peak = PeakMemory(torch.device(target.device))
    network, how = placed(_built(request), target)
    x = random_input(shape, torch.device(target.device), how.dtype, how.memory_format)
    peak.begin()
    with torch.inference_mode():
        network(x)
    memory = peak.end()
    began = _now()
    result = ops.measure(
        runtime.prepare(network, x),
        shape,
        target.device,
        dtype=how.dtype,
        memory_format=how.memory_format,
        cuda_graph=runtime.cuda_graph,
        energy_window=request["energy_window"],
    )
    reply = _reply(result, target) | {"peak_memory_bytes": memory}
    reply["detail"] |= {"began": began, "ended": _now()}
    reply["energy"] = result.conditions["energy"]
    if request["layers"]:
        assert isinstance(network, Network)
        timed = time_layers(network, shape, target.device)
        reply["layers"] = {name: _figures(result, target) for name, result in timed}
    return reply


def _time_in_turns(request: Mapping[str, Any]) -> dict[str, Any]:
    from invsearch.latency.in_turns import tied, time_in_turns
    from invsearch.latency.target import Target

    target = Target.from_json(request["target"])
    networks, began = [_built(described) for described in request["networks"]], _now()
    measured = time_in_turns(networks, request["shape"], target, _runtime(target))
    span = {"began": began, "ended": _now()}
    replies = [_reply(one, target) for one in measured]
    flags = {flag: None for one in measured for flag in one.flags}
    return {
        "median_ms": [one.median_ms for one in measured],
        "detail": {"flags": list(flags), **span},
        "networks": [{**one, "detail": {**one["detail"], **span}} for one in replies],
        "ties": tied(measured),
    }


def _runtime(target: Target) -> Runtime:
    from invsearch.latency.runtimes import Runtime
    from invsearch.plugins import RUNTIMES

    runtime = RUNTIMES.get(target.runtime, Runtime)
    problem = runtime.problem(target.device, target.dtype)
    if problem is not None:
        raise SystemExit(problem)
    return runtime


def _built(described: Mapping[str, Any]) -> nn.Module:
    from invsearch.models import ModuleSpec, build_searched, spec_from_json

    spec = spec_from_json(described["spec"])
    if isinstance(spec, ModuleSpec):
        spec = spec.at(*described["paths"])
    return build_searched(spec)


def _time_parts(request: Mapping[str, Any]) -> dict[str, Any]:
    from invsearch.latency.part_timing import time_parts
    from invsearch.latency.parts import Part
    from invsearch.latency.target import Target

    target = Target.from_json(request["target"])
    parts = [Part.from_json(data) for data in request["parts"]]
    timed = time_parts(parts, request["batch_size"], target)
    return {"parts": [_figures(result, target) for result in timed]}


def _register(origin: Mapping[str, str]) -> None:
    """Import what registers an operator: its entry point, its module, or its file."""
    import ops

    with suppress(KeyError):
        ops.get(origin["name"])
        return
    name, file = origin["module"], origin["file"]
    with suppress(ImportError, ValueError):
        found = importlib.util.find_spec(name)
        if found and found.origin and Path(found.origin).resolve() == Path(file):
            importlib.import_module(name)
            return
    _load_file(name, file)


def _load_file(name: str, file: str) -> None:
    name = "_operators_main" if name == "__main__" else name
    found = importlib.util.spec_from_file_location(name, file)
    if found is None or found.loader is None:
        raise ImportError(f"the operator's module {name!r} cannot be imported from {file!r}")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)


def _reply(result: Measurement, target: Target) -> dict[str, Any]:
    figures = _figures(result, target)
    figures["detail"] |= {
        "device": target.device,
        "dtype": target.dtype,
        "runtime": target.runtime,
        "threads": result.threads,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "affinity": _affinity(),
        "environment": result.environment,
    }
    return figures


def _figures(result: Measurement, target: Target) -> dict[str, Any]:
    low, high = result.interval_ms
    return {
        "median_ms": result.median_ms,
        "low_ms": low,
        "high_ms": high,
        "detail": {
            "shape": list(result.shape or ()),
            "memory_format": target.memory_format,
            "samples": len(result.samples),
            "calls_per_sample": result.calls_per_sample,
            "missed": result.missed,
            "flags": list(result.flags),
        },
    }


def _affinity() -> list[int] | None:
    """The cores that this process may run on, where the system tells."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _now() -> str:
    return datetime.now(UTC).isoformat()


if __name__ == "__main__":
    main()
