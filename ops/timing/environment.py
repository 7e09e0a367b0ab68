"""The machine and the software that a measurement was taken on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from ops.involution.backends.native import library as native
from ops.timing import nvml

__all__ = ["environment"]


def environment() -> dict[str, Any]:
    """Describes this process's machine: plain values, ready for JSON.

    Keys: `cpu_model`, `cpu_capability` (the vector instructions torch uses), `logical_cores`,
    `native` (the variant of our CPU kernels in use, None where they are not built), `usable_cores`
    (this process's affinity), `threads` (torch's), `nice`, `load_average` (1, 5, 15
    minutes), `python`, `torch`, `platform`, `gpu` (a name, or None without CUDA), and `gpu_details`
    (its capability, memory, caches, driver, clocks, power limit).
    """
    return {
        "cpu_model": _cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "native": _native(),
        "logical_cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "threads": torch.get_num_threads(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else None,
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "gpu_details": _gpu(),
    }


def _native() -> str | None:
    loaded = native.kernels()
    return loaded.variant if loaded is not None else None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _gpu() -> dict[str, Any] | None:
    return nvml.describe(torch.device("cuda")) if torch.cuda.is_available() else None


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
