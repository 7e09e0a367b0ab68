"""The memory that a network takes at its peak, as the device or the operating system saw it."""

from __future__ import annotations

import gc
from pathlib import Path

import torch

__all__ = ["PeakMemory"]

_PROC = Path("/proc/self")
_RESET_PEAK = "5"  # proc(5), clear_refs: set the peak to what is resident now


class PeakMemory:
    """Watches from before a network is built to the end of one pass: weights and activations.

    On a CUDA device the bytes that torch's allocator gave out; on a CPU the growth of this
    process's resident memory, by Linux's high-water mark. What building a network takes for a
    moment is left out.

    Args:
        device: Where the network will be.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        self._before = self._used()

    def begin(self) -> None:
        """The network is built: from here on the peak counts."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            _write(_PROC / "clear_refs", _RESET_PEAK)

    def end(self) -> int | None:
        """Bytes at the peak, on top of what there was before; None where nothing tells."""
        if self._device.type == "cuda":
            peak: int | None = torch.cuda.max_memory_allocated(self._device)
        else:
            peak = _status_bytes("VmHWM")
        if peak is None or self._before is None:
            return None
        return max(0, peak - self._before)

    def _used(self) -> int | None:
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device)
        return _status_bytes("VmRSS")


def _status_bytes(field: str) -> int | None:
    try:
        lines = (_PROC / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024  # written in kB, which are KiB
    return None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="ascii")
    except OSError:
        return
