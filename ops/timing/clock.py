"""Clocks and caches of the devices: how one sample is taken."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import torch

from ops.timing.cuda import CudaClock

__all__ = [
    "CACHES",
    "Cache",
    "Clock",
    "Run",
    "clock_of",
    "flush_of",
    "flushed_bytes",
    "last_level_cache_bytes",
]

Run = Callable[[], object]
Clock = Callable[[Run, int], float]
"""(run, calls) -> seconds that so many calls take together."""
Cache = Literal["warm", "cold"]
CACHES: tuple[Cache, ...] = get_args(Cache)

UNKNOWN_CACHE_BYTES = 64 << 20  # a guess, on the large side, where the system tells none
MOST_FLUSHED_BYTES = 512 << 20  # chosen: bounds what each call costs


def clock_of(device: torch.device) -> Clock:
    """The monotonic clock; on CUDA events around the calls, with launches out of the way."""
    return CudaClock(device) if device.type == "cuda" else _cpu_clock


def flush_of(device: torch.device, cache: Cache) -> Run:
    """What to do before a sample: nothing, or write twice the last cache's size."""
    if cache == "warm":
        return _nothing
    buffer = torch.zeros(flushed_bytes(device, cache) // 4, dtype=torch.float32, device=device)
    return lambda: buffer.add_(1)


def flushed_bytes(device: torch.device, cache: Cache) -> int:
    """What is read and written before each sample: twice the last cache's size, or nothing."""
    return min(2 * last_level_cache_bytes(device), MOST_FLUSHED_BYTES) if cache == "cold" else 0


def last_level_cache_bytes(device: torch.device) -> int:
    """Of a CUDA device its L2; of this machine its largest; 64 MiB where nothing says."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return int(getattr(properties, "L2_cache_size", UNKNOWN_CACHE_BYTES))
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((_cache_bytes(path) for path in sizes), default=0) or UNKNOWN_CACHE_BYTES


def _cache_bytes(path: Path) -> int:
    try:
        found = re.fullmatch(r"(\d+)([KMG]?)\s*", path.read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]] if found else 0


def _nothing() -> None:
    pass


def _cpu_clock(run: Run, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - start
