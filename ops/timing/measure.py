"""`measure`: how long one pass of a layer takes, with its uncertainty."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ops.timing.environment import environment
from ops.timing.statistics import LEAST_SAMPLES, median_interval
from ops.timing.workload import MODES, Layer, Mode, workload

__all__ = ["Measurement", "measure"]

Run = Callable[[], object]
Clock = Callable[[Run, int], float]


@dataclass(frozen=True)
class Measurement:
    """Samples of the time of one call, and how they were taken.

    Attributes:
        samples: Seconds a call, in the order taken; none is dropped.
        shape: Of the input.
        mode: `forward`, `backward` or `train`.
        device: Where it ran.
        dtype: Of input and weights.
        threads: torch's threads on the CPU.
        warmup_calls: Calls made before the first sample.
        calls_per_sample: Calls that one sample is the mean of.
        missed: Which criterion the time limit cut short, or None.
        environment: See `ops.environment`.
    """

    samples: tuple[float, ...]
    shape: tuple[int, ...]
    mode: Mode
    device: str
    dtype: str
    threads: int
    warmup_calls: int
    calls_per_sample: int
    missed: str | None
    environment: dict[str, Any]

    @property
    def median(self) -> float:
        """Median of the samples, in seconds."""
        return statistics.median(self.samples)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the median, in seconds; with under six samples, the extremes."""
        return median_interval(self.samples)

    @property
    def median_ms(self) -> float:
        """`median` in milliseconds."""
        return self.median * 1e3

    @property
    def interval_ms(self) -> tuple[float, float]:
        """`interval` in milliseconds."""
        low, high = self.interval
        return low * 1e3, high * 1e3

    def as_dict(self) -> dict[str, Any]:
        """Everything, with `median_ms` and `interval_ms`, ready for JSON."""
        return {**asdict(self), "median_ms": self.median_ms, "interval_ms": self.interval_ms}

    def __str__(self) -> str:
        low, high = self.interval_ms
        return (
            f"{self.median_ms:.4g} ms (95 % interval {low:.4g} to {high:.4g}, {len(self.samples)} "
            f"samples, {self.mode}, {self.device}, {self.threads} threads)"
        )


def measure(
    layer: Layer,
    shape: Sequence[int],
    device: str | torch.device = "cpu",
    mode: Mode = "forward",
    *,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
    min_samples: int = 20,
    min_time: float = 0.2,
    max_time: float = 20.0,
    warmup_time: float = 0.1,
    sample_time: float = 1e-3,
) -> Measurement:
    """Measures one pass of `layer` over a random input.

    Warms up, then takes samples until there are `min_samples` of them and `min_time` has passed. A
    sample is the mean of as many calls as take about `sample_time`. CPU: the monotonic clock. CUDA:
    events around the calls, so the input is warm in the cache and launches overlap.

    Args:
        layer: A module, or anything that maps a tensor to a tensor. A module on another device or
            of another dtype is copied; in mode `train`, batch statistics move as in training.
        shape: Of the input.
        device: `cpu`, `cuda`, `cuda:1`, ...
        mode: `forward` (eval and inference mode), `backward` (all gradients, without the forward
            pass), or `train` (both).
        dtype: Of input and weights.
        memory_format: Of the input.
        min_samples: At least six, for a 95 % interval.
        min_time: Seconds of sampling, at least.
        max_time: Seconds of sampling, at most; at least one sample is taken.
        warmup_time: Seconds of calls before the first sample; at least two calls.
        sample_time: Seconds a sample takes, about.

    Returns:
        The samples; their median and its interval are properties.

    Raises:
        ValueError: For an unknown mode or too few samples.
    """
    if mode not in MODES:
        raise ValueError(f"measure: mode = {mode!r} must be one of {', '.join(MODES)}")
    if min_samples < LEAST_SAMPLES:
        raise ValueError(
            f"measure: min_samples = {min_samples} must be at least {LEAST_SAMPLES}: "
            "fewer have no 95 % interval"
        )
    device = torch.device(device)
    x = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0))
    x = x.to(device, dtype)
    x = x.contiguous(memory_format=memory_format) if x.dim() == 4 else x
    clock = _cuda_clock(device) if device.type == "cuda" else _clock
    with workload(layer, x, mode) as run:
        warmup_calls, call_time = _warm_up(run, clock, warmup_time)
        calls = max(1, math.ceil(sample_time / max(call_time, 1e-9)))
        samples, missed = _sample(run, clock, calls, min_samples, min_time, max_time)
    return Measurement(
        samples=samples,
        shape=tuple(shape),
        mode=mode,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        warmup_calls=warmup_calls,
        calls_per_sample=calls,
        missed=missed,
        environment=environment(),
    )


def _clock(run: Run, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - start


def _cuda_clock(device: torch.device) -> Clock:
    stream = torch.cuda.current_stream(device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def clock(run: Run, calls: int) -> float:
        start.record(stream)
        for _ in range(calls):
            run()
        end.record(stream)
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3

    return clock


def _warm_up(run: Run, clock: Clock, warmup_time: float) -> tuple[int, float]:
    """Calls until `warmup_time` has passed; returns the calls and the fastest one's seconds."""
    begin, times = time.perf_counter(), [clock(run, 1)]
    while len(times) < 2 or time.perf_counter() - begin < warmup_time:
        times.append(clock(run, 1))
    return len(times), min(times[1:])


def _sample(
    run: Run, clock: Clock, calls: int, min_samples: int, min_time: float, max_time: float
) -> tuple[tuple[float, ...], str | None]:
    begin, samples, passed = time.perf_counter(), list[float](), 0.0
    while len(samples) < min_samples or passed < min_time:
        if samples and passed >= max_time:
            return tuple(samples), f"{len(samples)} of {min_samples} samples within {max_time:g} s"
        samples.append(clock(run, calls) / calls)
        passed = time.perf_counter() - begin
    return tuple(samples), None
