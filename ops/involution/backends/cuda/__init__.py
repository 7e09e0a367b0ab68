"""CUDA kernels for NVIDIA GPUs from compute capability 8.0: fp32, fp16 and bf16, any strides.

Sums are in fp32 and deterministic; channels-last is the fastest layout. The sources are in
`kernels/`, `plans` says how each is launched, and `launch` runs it: compiled by NVRTC at first use,
on the current stream. Nothing of CUDA is loaded or initialised before a tensor on a GPU asks.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ops.involution.backends.base import Backend, Fused
from ops.involution.geometry import Geometry
from ops.probe import probe

__all__ = ["BACKEND", "FUSED"]

LEAST_CAPABILITY = (8, 0)  # cp.async, and bf16 on tensor cores
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function of another module of this folder, which is imported when that is first called."""

    def call(*arguments: Any) -> Any:
        return getattr(_module(module), name)(*arguments)

    return call


@functools.cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"ops.involution.backends.cuda.{name}")


@probe
def _missing() -> str | None:
    if torch.version.cuda is None:
        return "this torch was built without CUDA"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    if max(map(_capability, range(torch.cuda.device_count()))) < LEAST_CAPABILITY:
        return f"the GPU's compute capability is {_dotted(_capability(0))}, below 8.0"
    from ops.involution.backends.cuda import compiler as cuda_compiler

    return cuda_compiler.missing()


def _refuses(image: Tensor, geometry: Geometry) -> str | None:
    if image.device.type != "cuda":
        return f"it runs on a CUDA device, not on {image.device}"
    if image.dtype not in DTYPES:
        return f"it takes float32, float16 and bfloat16, not {image.dtype}"
    if torch.version.cuda is not None and _capability(image.get_device()) < LEAST_CAPABILITY:
        return f"the compute capability of {image.device} is below 8.0"
    return None


@functools.cache
def _capability(index: int) -> tuple[int, int]:
    return torch.cuda.get_device_capability(index)


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


FUSED = Fused(
    device="cuda",
    forward=_late("fused", "forward"),
    backward=_late("fused", "backward"),
    bottleneck=_late("fused", "bottleneck"),
    refuses=_late("fused", "refuses"),
)
BACKEND = Backend(
    name="cuda",
    aggregate=_late("plans", "aggregate"),
    grad_input=_late("plans", "grad_input"),
    grad_kernel=_late("plans", "grad_kernel"),
    missing=_missing,
    refuses=_refuses,
    fused=FUSED,
)
