"""Loads the C++ kernels of `kernels/` with ctypes and calls them.

The installation builds them as an optional extension with a plain C interface; see `setup.py`.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from importlib import machinery
from pathlib import Path

import torch
from torch import Tensor

from ops.involution.geometry import Geometry
from ops.probe import probe

__all__ = ["STORAGE", "Kernels", "Plan", "call", "kernels", "missing", "path", "plan"]
__all__ += ["readable", "rows"]

# as in kernels/dispatch.cpp
STORAGE = {torch.float32: 0, torch.bfloat16: 1, torch.float64: 2}

NOT_BUILT = (
    "not built: the installation found no working C++ compiler; "
    "install g++ or clang++ and reinstall the package"
)

# of each kernel's arguments, as in kernels/dispatch.cpp
_POINTERS = {
    "aggregate": 3,
    "grad_input": 3,
    "grad_kernel": 3,
    "fused": 5,
    "fused_backward": 9,
    "bottleneck": 9,
    "normalise": 7,
}
# one for every Python goes before those for one, which versions before 0.2 built and may have left
_SUFFIXES = sorted(machinery.EXTENSION_SUFFIXES, key=lambda suffix: "abi3" not in suffix)
_NONE = (0, 0, 0, 0)  # strides of an operand that an operator has not

Strides = Sequence[int]


class Kernels:
    """The loaded library.

    Attributes:
        variants: Instruction sets it was compiled for and this CPU has, best first.
        variant: The one in use.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        library.involution_variant_name.restype = ctypes.c_char_p
        self._numbers: dict[str, int] = {
            library.involution_variant_name(number).decode(): number
            for number in range(library.involution_variants())
            if library.involution_variant_runs(number)
        }
        self.variants = tuple(self._numbers)
        self._functions = {
            name: _declared(library, name, pointers) for name, pointers in _POINTERS.items()
        }
        self.functions: dict[str, Callable[..., int]] = {}
        if self.variants:
            self.use(self.variants[0])

    def use(self, variant: str) -> None:
        """Takes another of `variants` from now on; a KeyError if it is none of them."""
        number, self.variant = self._numbers[variant], variant
        self.functions = {
            name: functools.partial(function, number) for name, function in self._functions.items()
        }


class Plan:
    """The C structure of `kernels/plan.h`, filled for one geometry and set of strides."""

    def __init__(self, values: Sequence[int]) -> None:
        self._values = (ctypes.c_int64 * len(values))(*values)
        self.address = ctypes.addressof(self._values)


def kernels() -> Kernels | None:
    """The kernels, loaded at the first call; None where `missing` says why not."""
    return _loaded()[0]


@probe
def missing() -> str | None:
    """Why there are no native kernels on this machine, or None."""
    return _loaded()[1]


@probe
def _loaded() -> tuple[Kernels | None, str | None]:
    return _found(Path(__file__).parent)


def plan(
    geometry: Geometry,
    dtype: torch.dtype,
    x: Strides,
    y: Strides,
    kernel: Strides = (*_NONE, 0, 0),
    hidden: int = 0,
    features: Strides = _NONE,
) -> Plan:
    """The plan of a call on tensors of `dtype` with these strides.

    Args:
        geometry: Of the involution.
        dtype: Of every tensor.
        x: Strides of the input, or its gradient: (B, C, H, W).
        y: Strides of the output, or its gradient: (B, C, H_out, W_out).
        kernel: Strides of the kernel, or its gradient: (B, G, K, K, H_out, W_out).
        hidden: Channels of the features that the kernel is made from, in a fused call.
        features: Strides of the features, or their gradient: (B, hidden, H_out, W_out).
    """
    return _plan(geometry, STORAGE[dtype], x, y, kernel, hidden, features)


@functools.lru_cache(1024)
def rows(dtype: torch.dtype, count: int, channels: int, relu: bool) -> Plan:
    """The plan of a call on `count` pixels of that many channels, one after the other."""
    return Plan([STORAGE[dtype], count, channels, int(relu)])


def call(name: str, steps: Plan, *arguments: int | float) -> None:
    """Runs the C function `name` on pointers and numbers, with as many threads as torch uses.

    Raises:
        MemoryError: If there is no room for its scratch memory.
    """
    loaded = kernels()
    assert loaded is not None
    if loaded.functions[name](steps.address, *arguments, torch.get_num_threads()):
        raise MemoryError(f"involution: no memory for the scratch space of the native {name}")


def readable(image: Tensor) -> Tensor:
    """`image`, copied if neither its channels nor its columns lie next to each other."""
    strides = image.stride()
    if strides[1] == 1 or strides[3] == 1:
        return image
    return image.contiguous(memory_format=torch.channels_last)


def path(folder: Path | None = None) -> Path | None:
    """The library's file, in this folder or another; None where it was not built."""
    folder = folder or Path(__file__).parent
    files = (folder / f"_native{suffix}" for suffix in _SUFFIXES)
    return next((file for file in files if file.exists()), None)


def _found(folder: Path) -> tuple[Kernels | None, str | None]:
    library = path(folder)
    if library is None:
        return None, NOT_BUILT
    try:
        loaded = Kernels(library)
    except (OSError, AttributeError) as error:
        return None, f"{library.name} cannot be loaded ({error}); reinstall the package"
    if not loaded.variants:
        return None, "this CPU has none of the instruction sets it was compiled for"
    return loaded, None


def _declared(library: ctypes.CDLL, name: str, pointers: int) -> Callable[..., int]:
    function = getattr(library, f"involution_{name}")
    numbers = [ctypes.c_double] if name in ("bottleneck", "normalise") else []
    function.argtypes = [
        ctypes.c_int,
        *([ctypes.c_void_p] * (1 + pointers)),
        *numbers,
        ctypes.c_int64,
    ]
    declared: Callable[..., int] = function
    return declared


@functools.lru_cache(4096)
def _plan(
    geometry: Geometry,
    storage: int,
    x: Strides,
    y: Strides,
    kernel: Strides,
    hidden: int,
    features: Strides,
) -> Plan:
    return Plan(
        [
            storage,
            *(geometry.batch, geometry.channels, geometry.groups, geometry.kernel_size),
            *(*geometry.input_size, *geometry.output_size),
            *(*geometry.stride, *geometry.padding, *geometry.dilation),
            hidden,
            *(*x, *y, *kernel, *features),
        ]
    )
