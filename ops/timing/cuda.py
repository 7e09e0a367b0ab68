"""The clock of CUDA devices, and CUDA graphs.

Written from the documentation; what of it has run on a GPU is said in docs/cuda.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["CudaClock", "graphed"]

Run = Callable[[], object]

MOST_HELD_SECONDS = 0.1  # far below any watchdog of a driver
MARGIN = 1.5  # chosen: over what queueing took, which varies
ATTEMPTS = 4  # chosen: each at least doubles the spin; see `longer`
WARMUP_CALLS = 3  # as torch's documentation does before a capture
_CALIBRATION_CYCLES = 1_000_000  # about half a millisecond
_WARM_SECONDS = 0.3
"""How long the GPU spins before it is calibrated: an idle one clocks at a fifth of its speed."""


class CudaClock:
    """Events around the calls, with the launches out of the way.

    Queueing a kernel takes the CPU longer than a small kernel takes the GPU, which would then wait.
    So each sample begins with a kernel that only spins, before the first event: the calls are
    queued meanwhile and run back to back. Had the first event passed before all were queued, the
    GPU may have waited; then the sample is taken again behind a longer spin. After four attempts it
    counts as it is: work that itself waits for the GPU, or queues more than the driver takes.

    Attributes:
        samples: How many were taken.
        exposed: How many of them may hold time in which the GPU waited for a launch.
        held_s: Seconds that the spinning kernel takes by now, about.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._start, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.samples, self.exposed, self.held_s = 0, 0, 0.0
        self._cycles_per_s = _CALIBRATION_CYCLES / min(self._spins(_WARM_SECONDS))

    def __call__(self, run: Run, calls: int) -> float:
        """Seconds that so many calls take together, on the current stream."""
        for _ in range(ATTEMPTS):
            seconds, queueing_s, hidden = self._sample(run, calls)
            if hidden or self.held_s >= MOST_HELD_SECONDS:
                break
            self.held_s = longer(self.held_s, queueing_s)
        self.samples += 1
        self.exposed += not hidden
        return seconds

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        counts = {"samples": self.samples, "exposed": self.exposed}
        return {"kind": "CUDA events", **counts, "held_ms": self.held_s * 1e3}

    def flags(self) -> tuple[str, ...]:
        """Says if launches may be in the samples, as `kind: detail`."""
        if not self.exposed:
            return ()
        return (f"launches: the GPU may have waited in {self.exposed} of {self.samples} samples",)

    def _sample(self, run: Run, calls: int) -> tuple[float, float, bool]:
        stream = torch.cuda.current_stream(self._device)
        with torch.cuda.device(self._device):
            if self.held_s:
                torch.cuda._sleep(int(self.held_s * self._cycles_per_s))
            self._start.record(stream)
            begin = time.perf_counter()
            for _ in range(calls):
                run()
            queueing_s = time.perf_counter() - begin
            hidden = not self._start.query()
            self._end.record(stream)
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end)) / 1e3, queueing_s, hidden

    def _spins(self, at_least: float) -> list[float]:
        """Seconds of spins one after the other, for so long."""
        spins: list[float] = []
        while sum(spins) < at_least:
            spins.append(self._spin())
        return spins

    def _spin(self) -> float:
        stream = torch.cuda.current_stream(self._device)
        with torch.cuda.device(self._device):
            self._start.record(stream)
            torch.cuda._sleep(_CALIBRATION_CYCLES)
            self._end.record(stream)
        self._end.synchronize()
        return max(float(self._start.elapsed_time(self._end)) / 1e3, 1e-6)


def longer(held_s: float, queueing_s: float) -> float:
    """How long to spin next: over what queueing took, at least twice as long, up to a limit."""
    return min(max(MARGIN * queueing_s, 2 * held_s), MOST_HELD_SECONDS)


def graphed(run: Run, device: torch.device) -> Run:
    """`run` captured in a CUDA graph: the result replays it, and returns what it returned.

    To be called, as everything that `run` is made from, on a stream that is not the default one:
    a gradient runs on the stream of its forward pass, and the default stream cannot be captured.

    Raises:
        RuntimeError: If `run` does what a graph cannot hold, such as waiting for the GPU.
    """
    for _ in range(WARMUP_CALLS):
        run()
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream(device)):
        result = run()

    def replay() -> object:
        graph.replay()
        return result

    return replay
