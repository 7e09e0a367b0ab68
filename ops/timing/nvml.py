"""NVML, the driver's own view of a GPU, through nvidia-ml-py (the extra `gpu`).

It is loaded at the first question. Without it, or where the driver does not tell, answers are None.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import Any

import torch

__all__ = ["describe", "handle_of", "read"]

NOT_INSTALLED = "nvidia-ml-py is not installed: pip install 'invsearch[gpu]'"
SM_CLOCK, MEMORY_CLOCK = 1, 2
"""nvmlClockType_t."""


def describe(device: torch.device) -> dict[str, Any]:
    """The GPU: plain values, ready for JSON."""
    properties = torch.cuda.get_device_properties(device)
    handle, reason = handle_of(device)
    return {
        "name": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "l2_bytes": getattr(properties, "L2_cache_size", None),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": read("nvmlSystemGetDriverVersion"),
        "max_sm_clock_mhz": read("nvmlDeviceGetMaxClockInfo", handle, SM_CLOCK),
        "max_memory_clock_mhz": read("nvmlDeviceGetMaxClockInfo", handle, MEMORY_CLOCK),
        "power_limit_mw": read("nvmlDeviceGetEnforcedPowerLimit", handle),
        "nvml": reason or "available",
    }


def handle_of(device: torch.device) -> tuple[Any, str | None]:
    """NVML's handle of torch's device, found by its UUID; or None and the reason."""
    return _handle(torch.cuda.current_device() if device.index is None else device.index)


def read(function: str, handle: Any = None, kind: int | None = None) -> Any:
    """What an NVML function says, or None if it is not there or refuses."""
    nvml, _ = _nvml()
    if nvml is None or (handle is None and function.startswith("nvmlDevice")):
        return None
    arguments = [argument for argument in (handle, kind) if argument is not None]
    with contextlib.suppress(nvml.NVMLError, AttributeError):
        return getattr(nvml, function)(*arguments)
    return None


@functools.cache
def _handle(index: int) -> tuple[Any, str | None]:
    nvml, reason = _nvml()
    if nvml is None:
        return None, reason
    uuid = str(getattr(torch.cuda.get_device_properties(index), "uuid", ""))
    for name in (f"GPU-{uuid}", uuid, f"MIG-{uuid}"):
        with contextlib.suppress(nvml.NVMLError):
            return nvml.nvmlDeviceGetHandleByUUID(name.encode()), None
    return None, f"NVML knows no device of UUID {uuid!r}"


@functools.cache
def _nvml() -> tuple[Any, str | None]:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None, NOT_INSTALLED
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return None, f"NVML cannot be used: {error}"
    return nvml, None
