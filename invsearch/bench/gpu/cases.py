"""How each row of `rows` is measured. Needs a GPU."""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from invsearch.bench.gpu import fresh as gpu_fresh
from invsearch.bench.gpu import networks as gpu_networks
from invsearch.bench.gpu.compare import (
    COPIED_BYTES,
    DTYPE,
    agree,
    compared,
    copy,
    measured,
    streamed,
)
from invsearch.bench.gpu.layers import (
    LAYERS,
    backward_of,
    bare,
    bare_bytes,
    forward_of,
    released,
    spans,
)
from invsearch.bench.gpu.rows import GpuClaim, GpuFigure
from invsearch.bench.shapes import REDNET50, LayerShape
from ops.timing import Interval, Rule
from ops.timing.clock import last_level_cache_bytes

__all__ = ["CASES", "broken", "copy_rate", "measure_row"]

COPY_SECONDS = 3.0  # at most; its interval is within 2 % far sooner
ALONE = Rule(max_time=1.0)
"""Of each shape alone, which explains the sum over all layers."""

OURS, COPY, RELEASED, OURS_FP32 = "operator", "copy", "released form, fp32", "operator, fp32"

Case = Callable[[GpuClaim, str, float], GpuFigure]


def measure_row(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """Measures a row; whatever goes wrong becomes the reason why there is no value.

    Args:
        row: Which.
        device: Where.
        seconds: For its samples; what it must do before is not in them.
    """
    try:
        return CASES[row.kind](row, device, seconds)
    except Exception as error:  # one row that fails must not take the others with it
        return GpuFigure(row, None, first_line(error))
    finally:
        with contextlib.suppress(Exception):  # each of them fails once the context is broken
            torch._dynamo.reset()
            gc.collect()
            torch.cuda.empty_cache()


def broken(device: str) -> str | None:
    """Why this process can do nothing more on the GPU, or None.

    After a fault of a kernel, such as an illegal address, every call of its process fails; after
    another error, such as memory that ran out, none does.
    """
    try:
        torch.zeros(1, device=device).add_(1).item()
    except Exception as error:
        return first_line(error)
    return None


def first_line(error: Exception) -> str:
    """The error's class, and the first line of what it says."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def copy_rate(device: str) -> dict[str, Any]:
    """GB/s of a copy within the GPU's memory, bytes read and written counted, with its interval."""
    with streamed(device):
        comparison = compared({COPY: copy(device)}, device, COPY_SECONDS)
    one = comparison.measurements[COPY]
    low, high = one.interval
    moved = 2 * COPIED_BYTES / 1e9
    rates = {"value": moved / one.median, "low": moved / high, "high": moved / low}
    return {**rates, "copied_bytes": COPIED_BYTES, "measurement": one.as_dict()}


def _bare(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """Time of a copy over the operator's, a byte; sets of tensors are used in turn, none cached."""
    shape, batch = _shape(row), int(row.batch or 1)
    moved = bare_bytes(shape, batch, DTYPE.itemsize)
    sets = _sets(moved, device)
    with streamed(device):
        runs = {OURS: bare(shape, batch, sets, device, DTYPE), COPY: copy(device)}
        comparison = compared(runs, device, seconds)
    times = comparison.speedup(OURS, COPY)
    scale = sets * moved / (2 * COPIED_BYTES)
    found = Interval(*(scale * number for number in times))
    return measured(row, found, comparison, {"bytes": moved, "sets": sets})


def _released(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """Over our fp16; beside it what of that is the algorithm's, with our operator in fp32."""
    shape, batch = _shape(row), int(row.batch or 1)
    sets = _sets(bare_bytes(shape, batch, DTYPE.itemsize), device)
    with streamed(device):
        runs = {
            OURS: bare(shape, batch, sets, device, DTYPE),
            OURS_FP32: bare(shape, batch, sets, device, torch.float32),
            RELEASED: released(shape, batch, sets, device),
        }
        agree(runs[RELEASED](), runs[OURS_FP32](), 1e-5)
        comparison = compared(runs, device, seconds)
    same = comparison.speedup(OURS_FP32, RELEASED)._asdict()
    found = comparison.speedup(OURS, RELEASED)
    return measured(row, found, comparison, {"sets": sets, "both in fp32": same})


def _fused(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    return _layers(row, device, seconds, forward_of)


def _backward(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    return _layers(row, device, seconds, backward_of)


def _layers(row: GpuClaim, device: str, seconds: float, work: Callable[..., Any]) -> GpuFigure:
    """The sum over 17 layers, and beside it each shape alone; each has half of the time."""
    batch, half = int(row.batch or 1), seconds / 2
    with streamed(device):
        layers = spans(LAYERS, batch, device, DTYPE)
        runs = {form: work(layers, form) for form in ("fused", "unfused")}
        comparison = compared(runs, device, half, reference="unfused")
    alone = {}
    for shape in REDNET50:
        del layers, runs
        with streamed(device):
            layers = spans([shape], batch, device, DTYPE)
            runs = {form: work(layers, form) for form in ("fused", "unfused")}
            one = compared(runs, device, half / len(REDNET50), rule=ALONE, reference="unfused")
        alone[shape.name] = {
            **one.speedup("fused")._asdict(),
            "ms": {name: taken.median_ms for name, taken in one.measurements.items()},
        }
    return measured(row, comparison.speedup("fused"), comparison, {"shapes": alone})


CASES: Mapping[str, Case] = {
    "bare": _bare,
    "released": _released,
    "fused": _fused,
    "backward": _backward,
    "eager": gpu_networks.eager,
    "capture": gpu_fresh.capture,
    "two": gpu_fresh.two,
    "first": gpu_fresh.first,
    "network": gpu_networks.compiled,
    "training": gpu_networks.training,
}


def _sets(moved: int, device: str) -> int:
    """As many as make each one's data leave the cache before it is used again."""
    cached = last_level_cache_bytes(torch.device(device))
    return max(2, 1 + math.ceil(4 * cached / moved))


def _shape(row: GpuClaim) -> LayerShape:
    return next(shape for shape in REDNET50 if shape.name == row.shape)
