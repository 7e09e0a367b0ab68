"""How each row of `gpu_rows` is measured. Needs a GPU."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from invsearch.bench.gpu_layers import (
    LAYERS,
    backward_of,
    bare,
    bare_bytes,
    forward_of,
    released,
    spans,
)
from invsearch.bench.gpu_rows import Measured, Row
from invsearch.bench.layers import seeded
from invsearch.bench.networks import STEM_KERNEL_SIZE, calibrated, with_backend
from invsearch.bench.shapes import REDNET50, LayerShape
from invsearch.models import rednet, resnet
from ops.timing import Comparison, Interval, Rule, check, compare
from ops.timing.clock import last_level_cache_bytes
from ops.timing.fresh_process import ask_fresh_process
from ops.timing.statistics import LEAST_SAMPLES, median_interval

__all__ = ["CASES", "copy_rate", "measure_row"]

DTYPE = torch.float16
COPIED_BYTES = 1 << 29
FIRST_CALLS = LEAST_SAMPLES
RULE = Rule(min_samples=30, min_time=0.5, max_width=0.02, max_time=10.0, sample_time=2e-3)
NETWORK_TOLERANCE = 3e-2
OURS, COPY, RELEASED, OURS_FP32 = "operator", "copy", "released form, fp32", "operator, fp32"

Case = Callable[[Row, str], Measured]


def measure_row(row: Row, device: str) -> Measured:
    """Measures a row; whatever goes wrong becomes the reason why there is no value."""
    try:
        return CASES[row.kind](row, device)
    except Exception as error:  # one row that fails must not take the others with it
        return Measured(row, None, f"{type(error).__name__}: {error}".splitlines()[0])
    finally:
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()


def copy_rate(device: str) -> dict[str, Any]:
    """GB/s of a copy within the GPU's memory, bytes read and written counted, with its interval."""
    with _stream(device):
        comparison = _compare({COPY: _copy(device)}, device)
    one = comparison.measurements[COPY]
    low, high = one.interval
    moved = 2 * COPIED_BYTES / 1e9
    rates = {"value": moved / one.median, "low": moved / high, "high": moved / low}
    return {**rates, "copied_bytes": COPIED_BYTES, "measurement": one.as_dict()}


def _bare(row: Row, device: str) -> Measured:
    """Time of a copy over the operator's, a byte; sets of tensors are used in turn, none cached."""
    shape, batch = _shape(row), int(row.batch or 1)
    moved = bare_bytes(shape, batch, DTYPE.itemsize)
    sets = _sets(moved, device)
    with _stream(device):
        runs = {OURS: bare(shape, batch, sets, device, DTYPE), COPY: _copy(device)}
        comparison = _compare(runs, device)
    times = comparison.speedup(OURS, COPY)
    scale = sets * moved / (2 * COPIED_BYTES)
    found = Interval(*(scale * number for number in times))
    return _measured(row, found, comparison, {"bytes": moved, "sets": sets})


def _released(row: Row, device: str) -> Measured:
    """Over our fp16; beside it what of that is the algorithm's, with our operator in fp32."""
    shape, batch = _shape(row), int(row.batch or 1)
    sets = _sets(bare_bytes(shape, batch, DTYPE.itemsize), device)
    with _stream(device):
        runs = {
            OURS: bare(shape, batch, sets, device, DTYPE),
            OURS_FP32: bare(shape, batch, sets, device, torch.float32),
            RELEASED: released(shape, batch, sets, device),
        }
        _agree(runs[RELEASED](), runs[OURS_FP32](), 1e-5)
        comparison = _compare(runs, device)
    same = comparison.speedup(OURS_FP32, RELEASED)._asdict()
    found = comparison.speedup(OURS, RELEASED)
    return _measured(row, found, comparison, {"sets": sets, "both in fp32": same})


def _fused(row: Row, device: str) -> Measured:
    return _layers(row, device, forward_of)


def _backward(row: Row, device: str) -> Measured:
    return _layers(row, device, backward_of)


def _layers(row: Row, device: str, work: Callable[..., Any]) -> Measured:
    """The sum over 17 layers, and beside it each shape alone."""
    batch = int(row.batch or 1)
    with _stream(device):
        layers = spans(LAYERS, batch, device, DTYPE)
        runs = {form: work(layers, form) for form in ("fused", "unfused")}
        comparison = _compare(runs, device, reference="unfused")
    alone = {}
    for shape in REDNET50:
        del layers, runs
        with _stream(device):
            layers = spans([shape], batch, device, DTYPE)
            runs = {form: work(layers, form) for form in ("fused", "unfused")}
            one = _compare(runs, device, Rule(max_time=1.0), reference="unfused")
        alone[shape.name] = {
            **one.speedup("fused")._asdict(),
            "ms": {name: taken.median_ms for name, taken in one.measurements.items()},
        }
    return _measured(row, comparison.speedup("fused"), comparison, {"shapes": alone})


def _first(row: Row, device: str) -> Measured:
    """Fresh processes, each with an empty cache folder."""
    seconds = [_first_call(str(row.shape)) for _ in range(FIRST_CALLS)]
    found = Interval(statistics.median(seconds), *median_interval(seconds))
    return Measured(row, found, None, {"seconds": seconds})


def _first_call(part: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        answer = ask_fresh_process(
            "invsearch.bench.gpu_first_call", part, environment={"INVSEARCH_CACHE": folder}
        )
    if answer.code:
        raise RuntimeError(answer.reason)
    return float(answer.line)


def _network(row: Row, device: str) -> Measured:
    """Both compiled with frozen weights; RedNet must compute what it does by the torch form."""
    batch = int(row.batch or 1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, 224, 224, generator=generator).to(device, DTYPE)
    images = images.contiguous(memory_format=torch.channels_last)
    with (
        _stream(device),
        torch.no_grad(),
        torch._inductor.config.patch(freezing=True),
    ):
        networks = {"RedNet-50": _rednet(), "ResNet-50": _resnet()}
        runs = {name: _compiled(network, images) for name, network in networks.items()}
        exact = with_backend(copy.deepcopy(_rednet()), "torch").to(device)
        _agree(runs["RedNet-50"]()[:8], exact(images[:8].float()), NETWORK_TOLERANCE)
        comparison = _compare(runs, device, reference="ResNet-50")
    return _measured(row, comparison.speedup("RedNet-50"), comparison, {})


def _compiled(network: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    placed = copy.deepcopy(network).to(images.device, images.dtype)
    placed = placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compiled: Callable[[Tensor], Tensor] = torch.compile(placed, dynamic=False)
    compiled(images)
    return lambda: compiled(images)


@functools.cache
def _rednet() -> nn.Module:
    return calibrated(seeded(lambda: rednet(50, stem_kernel_size=STEM_KERNEL_SIZE)), _calibration())


@functools.cache
def _resnet() -> nn.Module:
    return calibrated(seeded(lambda: resnet(50)), _calibration())


def _calibration() -> Tensor:
    return torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))


CASES: Mapping[str, Case] = {
    "bare": _bare,
    "released": _released,
    "fused": _fused,
    "backward": _backward,
    "first": _first,
    "network": _network,
}


def _compare(
    runs: Mapping[str, Callable[[], Any]],
    device: str,
    rule: Rule = RULE,
    reference: str | None = None,
) -> Comparison:
    return compare(
        runs, device=device, reference=reference, dtype=DTYPE, rule=rule, cuda_graph=True
    )


def _copy(device: str) -> Callable[[], Tensor]:
    source = torch.randn(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _sets(moved: int, device: str) -> int:
    """As many as make each one's data leave the cache before it is used again."""
    cached = last_level_cache_bytes(torch.device(device))
    return max(2, 1 + math.ceil(4 * cached / moved))


@contextlib.contextmanager
def _stream(device: str) -> Iterator[None]:
    """A stream that can be captured; everything is made on it."""
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()


def _agree(result: Any, expected: Any, tolerance: float) -> None:
    check("the fast form", result, expected, tolerance)


def _measured(row: Row, found: Interval, comparison: Comparison, more: dict[str, Any]) -> Measured:
    kept = {name: one.as_dict() for name, one in comparison.measurements.items()}
    for one in kept.values():
        del one["environment"]
    return Measured(row, found, None, {**more, "measurements": kept})


def _shape(row: Row) -> LayerShape:
    return next(shape for shape in REDNET50 if shape.name == row.shape)
