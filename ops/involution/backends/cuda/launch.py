"""A kernel launch as plain data, and the one door through which launches leave.

Nothing here needs a GPU: plans make `Launch` values, and `run` hands them to `executor`, which is
the driver's unless a test puts another there.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["PROCESSORS", "Executor", "Launch", "processors", "run"]

PROCESSORS = 132
"""SMs of a plan that is told no other number: an H100's."""


@dataclass(frozen=True)
class Launch:
    """One launch of one specialised kernel.

    Attributes:
        source: File in `kernels/` that holds it, such as "aggregate.cu".
        entry: Name of the `extern "C" __global__` function.
        defines: Macros it is compiled with, (name, value). A kernel is compiled for each set of
            them, so they hold K, stride, dtype, layout and tile, never batch or image size.
        grid: Blocks along x, y and z.
        block: Threads of a block, along x.
        shared_bytes: Dynamic shared memory of a block.
    """

    source: str
    entry: str
    defines: tuple[tuple[str, str], ...]
    grid: tuple[int, int, int]
    block: int
    shared_bytes: int


Executor = Callable[[Launch, ctypes.Structure, Sequence[Tensor | None], Sequence[Any]], None]


def run(
    launch: Launch,
    problem: ctypes.Structure,
    tensors: Sequence[Tensor | None],
    scalars: Sequence[Any] = (),
) -> None:
    """Runs a kernel `entry(const Problem problem, T* a, T* b, ..., scalars...)`.

    On a GPU: on the current stream of the tensors' device, without waiting for it.

    Args:
        launch: What to run.
        problem: Sizes and strides, passed by value; its fields are those of the C structure.
        tensors: Whose storage the pointers are; None is a null pointer.
        scalars: Further arguments, as instances of ctypes types such as `ctypes.c_float(1e-5)`.
    """
    executor(launch, problem, tensors, scalars)


def processors(device: torch.device) -> int:
    """How many SMs a device has; off a GPU, `PROCESSORS`."""
    return PROCESSORS if device.type != "cuda" else _processors(device.index or 0)


@functools.cache
def _processors(index: int) -> int:
    return int(torch.cuda.get_device_properties(index).multi_processor_count)


def _drive(
    launch: Launch,
    problem: ctypes.Structure,
    tensors: Sequence[Tensor | None],
    scalars: Sequence[Any],
) -> None:
    from ops.involution.backends.cuda.driver import run as drive

    drive(launch, problem, tensors, scalars)


executor: Executor = _drive
"""Who runs launches; tests replace it by the host shim, which runs the same kernels on a CPU."""
