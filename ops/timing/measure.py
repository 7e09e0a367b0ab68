"""`measure`: how long one pass of a layer takes, with its uncertainty."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ops.timing.clock import CACHES, Cache, Run, clock_of, flush_of, flushed_bytes
from ops.timing.conditions import Conditions, Watch
from ops.timing.cuda import CudaClock, graphed
from ops.timing.energy import Energy, energy
from ops.timing.environment import environment
from ops.timing.measurement import Measurement, flags_of
from ops.timing.sampling import Rule, Timer, sample
from ops.timing.workload import MODES, Layer, Mode, workload

__all__ = ["Measurement", "measure"]

MONOTONIC = {"kind": "monotonic"}


def measure(
    layer: Layer | ExportedProgram,
    shape: Sequence[int],
    device: str | torch.device = "cpu",
    mode: Mode = "forward",
    *,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
    cache: Cache = "warm",
    min_samples: int = 20,
    min_time: float = 0.2,
    max_width: float = 0.05,
    max_time: float = 10.0,
    warmup_time: float = 0.1,
    sample_time: float = 1e-3,
    cuda_graph: bool = False,
    energy_window: float = 0.0,
) -> Measurement:
    """Measures one pass of `layer` over a random input.

    Warms up, then takes samples until there are `min_samples` of them, `min_time` has passed, and
    the 95 % interval of their median is narrower than `max_width` of it. A sample is the mean of as
    many calls as take about `sample_time`. CPU: the monotonic clock. CUDA: events around the calls,
    which are queued behind a kernel that spins, so that launching them costs no time.

    Args:
        layer: A module, an exported program, or anything else that maps a tensor to tensors. A
            module on another device, of another dtype or not initialised yet is copied. Training
            flags, batch statistics and the random numbers to come are left as they were.
        shape: Of the input.
        device: `cpu`, `cuda`, `cuda:1`, ...
        mode: `forward` (eval and inference mode), `backward` (all gradients, without the forward
            pass), or `train` (both).
        dtype: Of input and weights.
        memory_format: Of the input.
        cache: `warm`: call after call. `cold`: a sample is one call, and before it twice the last
            cache's size is written.
        min_samples: At least six, for a 95 % interval.
        min_time: Seconds of sampling, at least.
        max_width: Relative width of the median's interval, at most.
        max_time: Seconds of sampling, at most: `missed` then says which criterion is not met.
        warmup_time: Seconds of calls before the first sample; at least two calls.
        sample_time: Seconds a sample takes, about.
        cuda_graph: Capture the pass in a CUDA graph and time its replays.
        energy_window: Seconds of further calls over which a GPU's energy counter is read; the
            default, and any window under a second, reads none.

    Returns:
        The samples; their median and its interval are properties, `flags` says what disturbed it.

    Raises:
        ValueError: For an unknown mode or cache, too few samples, a graph on a CPU, or gradients
            of a layer that has none.
    """
    rule = Rule(min_samples, min_time, max_width, max_time, warmup_time, sample_time)
    device = torch.device(device)
    require("mode", mode, MODES)
    with contextlib.ExitStack() as stack:
        enter_stream(stack, device, cuda_graph)
        x = random_input(shape, device, dtype, memory_format)
        run = stack.enter_context(workload(layer, x, mode))
        timer = timer_of(graphed(run, device) if cuda_graph else run, device, cache)
        watch = Watch(device)
        missed = sample([timer], rule)
        conditions = watch.stop()
        how = {"cuda_graph": cuda_graph, "energy": energy(timer.run, device, energy_window)}
    return measurement_of(timer, conditions, missed, shape, mode, device, dtype, cache, how=how)


def enter_stream(stack: contextlib.ExitStack, device: torch.device, cuda_graph: bool) -> None:
    """Where graphs are captured, a stream of its own: the default one cannot be.

    Raises:
        ValueError: If graphs are asked for on another device.
    """
    if not cuda_graph:
        return
    if device.type != "cuda":
        raise ValueError(f"measure: cuda_graph needs a CUDA device, not {device}")
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    stack.enter_context(torch.cuda.stream(stream))


def require(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raises ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"measure: {name} = {value!r} must be one of {', '.join(allowed)}")


def random_input(
    shape: Sequence[int],
    device: torch.device,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
) -> Tensor:
    """Normal numbers, the same ones each time; the memory format is for (B, C, H, W)."""
    x = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0)).to(device, dtype)
    return x.contiguous(memory_format=memory_format) if x.dim() == 4 else x


def timer_of(run: Run, device: torch.device, cache: Cache) -> Timer:
    """What takes samples of `run` on this device.

    Raises:
        ValueError: If the cache is neither warm nor cold.
    """
    require("cache", cache, CACHES)
    return Timer(run, clock_of(device), flush_of(device, cache), single=cache == "cold")


def measurement_of(
    timer: Timer,
    conditions: Conditions,
    missed: str | None,
    shape: Sequence[int] | None,
    mode: str,
    device: torch.device,
    dtype: torch.dtype,
    cache: Cache,
    surroundings: dict[str, Any] | None = None,
    how: Mapping[str, Any] | None = None,
) -> Measurement:
    """Puts a finished timer's samples and their circumstances together."""
    samples = tuple(float(f"{seconds:.6g}") for seconds in timer.samples)
    exposed = timer.clock.flags() if isinstance(timer.clock, CudaClock) else ()
    circumstances = {
        **conditions.as_dict(),
        "clock": timer.clock.as_dict() if isinstance(timer.clock, CudaClock) else MONOTONIC,
        "flushed_bytes": flushed_bytes(device, cache),
        "moved_samples": timer.moved,
        **{
            key: one.as_dict() if isinstance(one, Energy) else one
            for key, one in (how or {}).items()
        },
    }
    return Measurement(
        samples=samples,
        shape=None if shape is None else tuple(shape),
        mode=mode,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        cache=cache,
        warmup_calls=timer.warmup_calls,
        calls_per_sample=timer.calls,
        missed=missed,
        flags=(*flags_of(samples, conditions, device.type, timer.moved), *exposed),
        conditions=circumstances,
        environment=surroundings or environment(),
    )
