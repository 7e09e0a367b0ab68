"""Energy of a call on a GPU, read from the driver's counter over many of them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ops.timing import nvml

__all__ = ["Energy", "energy"]

Run = Callable[[], object]

LEAST_WINDOW_S = 1.0
"""Ten updates of a counter that some GPUs update every 100 ms: its step is then under 10 %."""


@dataclass(frozen=True)
class Energy:
    """Of one call.

    Attributes:
        mj: Millijoules of the whole GPU, or None.
        window_s: Seconds over which the counter was read.
        calls: Calls in it.
        reason: Why there is no value.
    """

    mj: float | None
    window_s: float
    calls: int
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def energy(run: Run, device: torch.device, window_s: float) -> Energy:
    """Energy of one call, over calls back to back for about `window_s` seconds.

    The counter is the whole GPU's, so another process's energy is in it too. It is not read over a
    window shorter than `LEAST_WINDOW_S`.
    """
    if device.type != "cuda":
        return Energy(None, 0.0, 0, f"read on CUDA devices only, not on {device}")
    if window_s < LEAST_WINDOW_S:
        short = f"a window of {window_s:g} s is shorter than {LEAST_WINDOW_S:g} s"
        return Energy(None, window_s, 0, short)
    handle, reason = nvml.handle_of(device)
    counter = functools.partial(nvml.read, "nvmlDeviceGetTotalEnergyConsumption", handle)
    if handle is None or counter() is None:
        return Energy(None, window_s, 0, reason or "the driver has no energy counter for this GPU")
    torch.cuda.synchronize(device)
    begin, before, calls = time.perf_counter(), counter(), 0
    while time.perf_counter() - begin < window_s:
        run()
        calls += 1
        if calls % 16 == 0:
            torch.cuda.synchronize(device)
    torch.cuda.synchronize(device)
    after, passed = counter(), time.perf_counter() - begin
    return Energy((after - before) / calls, passed, calls)
