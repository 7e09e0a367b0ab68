"""What went on at a GPU meanwhile: clocks, temperature, throttling, other processes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ops.timing import nvml

__all__ = ["GpuConditions", "GpuWatch", "foreign", "throttle_reasons"]

SLOWER_CLOCK = 0.9  # chosen: a drop by a tenth shows in a median

REASONS: Mapping[int, str] = {
    0x001: "idle",
    0x002: "application clocks",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "thermal slowdown (software)",
    0x040: "thermal slowdown (hardware)",
    0x080: "power brake",
    0x100: "display clocks",
}
"""Bits of nvmlClocksEventReasons (nvml.h)."""

# power cap, hardware slowdown, software and hardware thermal slowdown, power brake
DISTURBING = frozenset({0x004, 0x008, 0x020, 0x040, 0x080})

# nvmlPerfPolicyType_t and nvmlTemperatureSensors_t of nvml.h
_POLICIES = {"power": 0, "thermal": 1}
_CELSIUS = 0  # NVML_TEMPERATURE_GPU


@dataclass(frozen=True)
class GpuConditions:
    """A stretch of measuring, as NVML saw it; None is what the driver does not tell.

    Attributes:
        sm_clock_mhz: Before and after; before it the GPU may have been idle.
        memory_clock_mhz: Before and after.
        max_sm_clock_mhz: What it can reach.
        temperature_c: Before and after.
        power_w: Before and after.
        throttle_reasons: Why the clocks were not higher, before or after; see `REASONS`.
        throttled_s: Seconds for which power or heat held the clocks down.
        foreign_processes: Other processes that compute on it.
        reason: Why nothing could be read, or None.
    """

    sm_clock_mhz: tuple[float, float] | None = None
    memory_clock_mhz: tuple[float, float] | None = None
    max_sm_clock_mhz: float | None = None
    temperature_c: tuple[float, float] | None = None
    power_w: tuple[float, float] | None = None
    throttle_reasons: tuple[str, ...] | None = None
    throttled_s: Mapping[str, float | None] = field(default_factory=dict)
    foreign_processes: int | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in plain.items()}

    def flags(self) -> tuple[str, ...]:
        """What may have disturbed the measurement, as `kind: detail`."""
        found = []
        disturbing = {REASONS[bit] for bit in DISTURBING}
        reasons = [reason for reason in self.throttle_reasons or () if reason in disturbing]
        held = {why: s for why, s in self.throttled_s.items() if s}
        if reasons or held:
            times = [f"{why} for {seconds:.2g} s" for why, seconds in held.items()]
            found.append(f"gpu throttled: {', '.join([*reasons, *times])}")
        if self.sm_clock_mhz and self.sm_clock_mhz[1] < SLOWER_CLOCK * self.sm_clock_mhz[0]:
            before, after = self.sm_clock_mhz
            found.append(f"gpu clock: fell from {before:.0f} to {after:.0f} MHz")
        if self.foreign_processes:
            found.append(f"gpu shared: {self.foreign_processes} other processes compute on it")
        return tuple(found)


class GpuWatch:
    """Watches a GPU from its making until `stop`."""

    def __init__(self, device: torch.device) -> None:
        self._handle, self._reason = nvml.handle_of(device)
        self._start = self._state()

    def stop(self) -> GpuConditions:
        """The conditions since the watch was made."""
        if self._handle is None:
            return GpuConditions(reason=self._reason)
        start, end = self._start, self._state()
        bits = [bits for bits in (start["reasons"], end["reasons"]) if bits is not None]
        return GpuConditions(
            sm_clock_mhz=_both(start["sm"], end["sm"]),
            memory_clock_mhz=_both(start["memory"], end["memory"]),
            max_sm_clock_mhz=nvml.read("nvmlDeviceGetMaxClockInfo", self._handle, nvml.SM_CLOCK),
            temperature_c=_both(start["temperature"], end["temperature"]),
            power_w=_both(start["power"], end["power"], 1e-3),
            throttle_reasons=throttle_reasons(*bits) if bits else None,
            throttled_s={why: _passed(start[why], end[why], 1e-9) for why in _POLICIES},
            foreign_processes=foreign(end["processes"]),
        )

    def _state(self) -> dict[str, Any]:
        if self._handle is None:
            return {}
        read = functools.partial(nvml.read, handle=self._handle)
        return {
            "sm": read("nvmlDeviceGetClockInfo", kind=nvml.SM_CLOCK),
            "memory": read("nvmlDeviceGetClockInfo", kind=nvml.MEMORY_CLOCK),
            "temperature": read("nvmlDeviceGetTemperature", kind=_CELSIUS),
            "power": read("nvmlDeviceGetPowerUsage"),
            "reasons": read("nvmlDeviceGetCurrentClocksThrottleReasons"),
            "processes": read("nvmlDeviceGetComputeRunningProcesses"),
            **{
                why: getattr(
                    read("nvmlDeviceGetViolationStatus", kind=policy), "violationTime", None
                )
                for why, policy in _POLICIES.items()
            },
        }


def throttle_reasons(*bits: int) -> tuple[str, ...]:
    """Names of the bits that are set in any of them, but for `idle`; unknown ones in hex."""
    together = functools.reduce(int.__or__, bits, 0) & ~0x001
    found = (1 << place for place in range(together.bit_length()) if together >> place & 1)
    return tuple(REASONS.get(bit, hex(bit)) for bit in found)


def foreign(processes: Any) -> int | None:
    """How many of NVML's processes are not this one, which is always among them.

    In a container NVML may know this process by another number, so one of them is taken off.
    """
    return None if processes is None else max(0, len(processes) - 1)


def _both(start: Any, end: Any, unit: float = 1.0) -> tuple[float, float] | None:
    return None if start is None or end is None else (start * unit, end * unit)


def _passed(start: Any, end: Any, unit: float) -> float | None:
    return None if start is None or end is None else (end - start) * unit
