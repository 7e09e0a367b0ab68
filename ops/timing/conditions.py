"""What went on around a measurement: whether the machine was ours, and at full speed.

Linux says most of it under /proc and /sys; what cannot be read is None and flags nothing. What no
kernel tells, a virtual machine's neighbours and a clock that the host lowers, shows in how long a
fixed piece of work takes before and after.
"""

from __future__ import annotations

import ctypes
import functools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ops.timing.gpu import GpuConditions, GpuWatch
from ops.timing.statistics import LEAST_SAMPLES, median_interval

__all__ = ["Conditions", "Watch", "core", "drift", "migration"]

LEAST_SHARE = 0.9  # chosen: of a core's time
FOREIGN_SHARE = 0.05  # chosen: of all cores' time
SLOWER_CLOCK = 0.9  # chosen: a drop by a tenth shows in a median
DRIFT = 0.05  # of the median, from the first half of the samples to the second
MOVED_SHARE = 0.1  # of the samples: fewer move a median by a twentieth of the ranks at most
_REFERENCE_CALLS = 20  # the fastest counts, so that an interrupt does not
_REFERENCE_TURNS = 20_000  # of an empty loop: half a millisecond, less than a scheduler's slice
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Conditions:
    """A stretch of measuring, as the operating system saw it.

    Attributes:
        wall_s: Its seconds.
        cpu_s: Processor seconds of this process, all threads.
        foreign_cores: How many cores everything else kept busy, on average (/proc/stat).
        cores: Cores of the machine.
        throttled_s: Seconds for which the control group was stopped at its quota.
        frequency_mhz: The slowest usable core's clock before and after (cpufreq).
        heat_events: Thermal throttling events meanwhile.
        reference_ms: What a fixed piece of work took before and after; None where a GPU works, and
            with several threads, which may still spin on the core beside.
        gpu: The GPU's own, where one was measured.
    """

    wall_s: float
    cpu_s: float
    foreign_cores: float | None
    cores: int
    throttled_s: float | None
    frequency_mhz: tuple[float, float] | None
    heat_events: int | None
    reference_ms: tuple[float, float] | None = None
    gpu: GpuConditions | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain = asdict(self)
        pairs = {key: list(one) for key, one in plain.items() if isinstance(one, tuple)}
        return {**plain, **pairs, "gpu": None if self.gpu is None else self.gpu.as_dict()}

    def flags(self) -> tuple[str, ...]:
        """What may have disturbed work that keeps at least one core busy, as `kind: detail`."""
        share = self.cpu_s / max(self.wall_s, 1e-9)
        found = []
        if share < LEAST_SHARE:
            found.append(f"starved: this process ran for {share:.0%} of the time")
        if self.foreign_cores is not None and self.foreign_cores > FOREIGN_SHARE * self.cores:
            found.append(f"foreign load: others kept {self.foreign_cores:.2g} cores busy")
        if self.throttled_s:
            found.append(f"quota: stopped for {self.throttled_s:.2g} s")
        if self.frequency_mhz and self.frequency_mhz[1] < SLOWER_CLOCK * self.frequency_mhz[0]:
            before, after = self.frequency_mhz
            found.append(f"clock: fell from {before:.0f} to {after:.0f} MHz")
        if self.reference_ms and min(self.reference_ms) < SLOWER_CLOCK * max(self.reference_ms):
            before, after = self.reference_ms
            found.append(f"speed: fixed work took {before:.3g} ms before and {after:.3g} ms after")
        if self.heat_events:
            found.append(f"heat: {self.heat_events} throttling events")
        return tuple(found)


@dataclass(frozen=True)
class _State:
    wall: float
    cpu: float
    busy: float | None
    throttled: float | None
    frequency: float | None
    heat: int | None

    @classmethod
    def now(cls) -> _State:
        return cls(
            time.perf_counter(),
            time.process_time(),
            _busy_seconds(),
            _throttled_seconds(),
            _frequency_mhz(),
            _heat_events(),
        )


class Watch:
    """Watches from its making until `stop`: the machine, and the device if that is a GPU."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._gpu = GpuWatch(device) if device is not None and device.type == "cuda" else None
        one = self._gpu is None and torch.get_num_threads() == 1
        self._reference = _reference_ms() if one else None
        self._start = _State.now()

    def stop(self) -> Conditions:
        """The conditions since the watch was made."""
        start, end = self._start, _State.now()
        wall, cpu = end.wall - start.wall, end.cpu - start.cpu
        busy, throttled = _since(start.busy, end.busy), _since(start.throttled, end.throttled)
        clocks = start.frequency, end.frequency
        return Conditions(
            wall_s=wall,
            cpu_s=cpu,
            foreign_cores=None if busy is None else max(0.0, (busy - cpu) / max(wall, 1e-9)),
            cores=os.cpu_count() or 1,
            throttled_s=throttled,
            frequency_mhz=None if None in clocks else clocks,  # type: ignore[arg-type]
            heat_events=_since(start.heat, end.heat),
            reference_ms=None if self._reference is None else (self._reference, _reference_ms()),
            gpu=None if self._gpu is None else self._gpu.stop(),
        )


def core() -> int | None:
    """The core that this thread runs on just now, where the C library tells."""
    ask = _getcpu()
    return None if ask is None else ask()


def migration(moved: int, samples: int) -> str | None:
    """Says in how many samples the thread that calls changed its core, if they are many.

    A core that it comes to has none of its data in the nearer caches. The threads that work for
    it may move unseen.
    """
    if moved <= MOVED_SHARE * samples:
        return None
    return f"migration: moved to another core in {moved} of {samples} samples"


def drift(samples: Sequence[float]) -> str | None:
    """Says by how much the later half of the samples is slower or faster, if it clearly is."""
    half = len(samples) // 2
    if half < LEAST_SAMPLES:
        return None
    early, late = samples[:half], samples[-half:]
    change = statistics.median(late) / statistics.median(early) - 1
    (early_low, early_high), (low, high) = median_interval(early), median_interval(late)
    apart = low > early_high or high < early_low
    return f"drift: {change:+.0%} in the later half" if apart and abs(change) > DRIFT else None


def _reference_ms() -> float:
    """What a fixed piece of work takes at best just now: the core alone, and no memory."""
    fastest = float("inf")
    for _ in range(_REFERENCE_CALLS):
        start = time.perf_counter()
        for _ in range(_REFERENCE_TURNS):
            pass
        fastest = min(fastest, time.perf_counter() - start)
    return fastest * 1e3


@functools.cache
def _getcpu() -> Callable[[], int] | None:
    try:
        found: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):  # no Linux
        return None
    return found


def _since(start: Any, end: Any) -> Any:
    return None if start is None or end is None else end - start


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None


def _busy_seconds() -> float | None:
    """Of all cores since boot: user, nice, system, irq, softirq and steal."""
    text = _read(Path("/proc/stat"))
    if not text or not text.startswith("cpu "):
        return None
    ticks = [int(field) for field in text.split("\n", 1)[0].split()[1:9]]
    idle = sum(ticks[3:5])
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def _throttled_seconds() -> float | None:
    for line in (_read(Path("/sys/fs/cgroup/cpu.stat")) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "throttled_usec":
            return int(value) / 1e6
    return None


def _frequency_mhz() -> float | None:
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    texts = [_read(_CPUS / f"cpu{core}/cpufreq/scaling_cur_freq") for core in cores]
    known = [int(text) / 1e3 for text in texts if text and text.strip().isdigit()]
    return min(known, default=None)


def _heat_events() -> int | None:
    texts = map(_read, _CPUS.glob("cpu*/thermal_throttle/core_throttle_count"))
    known = [int(text) for text in texts if text and text.strip().isdigit()]
    return sum(known) if known else None
