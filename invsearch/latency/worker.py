"""The process that measures latency: JSON on standard input, JSON on standard output."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

    torch.set_num_threads(request["threads"])
    for origin in request["operators"]:
        _register(origin)
    if "parts" in request:
        return _time_parts(request)
    return _time_network(request)


def _time_network(request: Mapping[str, Any]) -> dict[str, Any]:
    import torch
    from torch.nn.utils import convert_conv2d_weight_memory_format

    import ops
    from invsearch.latency.layers import time_layers
    from invsearch.models import NetworkSpec, build

    shape, device = tuple(request["shape"]), request["device"]
    network = build(NetworkSpec.from_json(request["spec"])).eval().to(device)
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    result = ops.measure(network, shape, device, memory_format=torch.channels_last)
    reply = _reply(result, request)
    if request["layers"]:
        timed = time_layers(network, shape, device)
        reply["layers"] = {name: _figures(result) for name, result in timed}
    return reply


def _time_parts(request: Mapping[str, Any]) -> dict[str, Any]:
    from invsearch.latency.part_timing import time_parts
    from invsearch.latency.parts import Part

    parts = [Part.from_json(data) for data in request["parts"]]
    timed = time_parts(parts, request["batch_size"], request["device"])
    return {"parts": [_figures(result) for result in timed]}


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


def _reply(result: Measurement, request: Mapping[str, Any]) -> dict[str, Any]:
    figures = _figures(result)
    figures["detail"] |= {
        "device": request["device"],
        "threads": result.threads,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "environment": result.environment,
    }
    return figures


def _figures(result: Measurement) -> dict[str, Any]:
    low, high = result.interval_ms
    return {
        "median_ms": result.median_ms,
        "low_ms": low,
        "high_ms": high,
        "detail": {
            "shape": list(result.shape or ()),
            "memory_format": "channels_last",
            "samples": len(result.samples),
            "calls_per_sample": result.calls_per_sample,
            "missed": result.missed,
            "flags": list(result.flags),
        },
    }


if __name__ == "__main__":
    main()
