"""Loads compiled kernels into the GPU and launches them, through the CUDA driver's C interface.

A launch costs a few microseconds of Python: a look-up in a dictionary, two arrays, one call.
It can be captured in a CUDA graph, the first one too: what loads a kernel allocates nothing in the
stream and does not wait for it.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ops.involution.backends.cuda import compiler as cuda_compiler
from ops.involution.backends.cuda.launch import Launch

__all__ = ["DriverError", "run"]

DEFAULT_SHARED_BYTES = 48 << 10
"""What a block may use without asking (CUDA C++ Programming Guide, compute capabilities)."""

_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8  # CUfunction_attribute of cuda.h
_CAPTURE_RELAXED = 2  # CUstreamCaptureMode
_INVALID_CONTEXT = 201  # CUresult


class DriverError(RuntimeError):
    """The CUDA driver refused; the message has its own text."""


@dataclass
class _Kernel:
    """A function loaded into one device's context.

    Attributes:
        function: The driver's handle.
        shared_bytes: Dynamic shared memory that it may use by now.
    """

    function: ctypes.c_void_p
    shared_bytes: int


_Key = tuple[str, str, tuple[tuple[str, str], ...], int]

_kernels: dict[_Key, _Kernel] = {}
_modules: dict[tuple[str, tuple[tuple[str, str], ...], int], ctypes.c_void_p] = {}
_lock = threading.RLock()


def run(
    launch: Launch,
    problem: ctypes.Structure,
    tensors: Sequence[Tensor | None],
    scalars: Sequence[Any] = (),
) -> None:
    """Launches on the current stream of the tensors' device; see `launch.run`.

    Raises:
        DriverError: If the driver refuses; a fault of the kernel itself shows at a later call.
        CompileError: At its first launch, if it does not compile.
    """
    index = next(tensor.get_device() for tensor in tensors if tensor is not None)
    if 0 in launch.grid:
        return
    if index == torch.cuda.current_device():
        _run(launch, problem, tensors, scalars, index)
    else:
        with torch.cuda.device(index):
            _run(launch, problem, tensors, scalars, index)


def _run(
    launch: Launch,
    problem: ctypes.Structure,
    tensors: Sequence[Tensor | None],
    scalars: Sequence[Any],
    index: int,
) -> None:
    kernel = _kernels.get((launch.source, launch.entry, launch.defines, index))
    if kernel is None or kernel.shared_bytes < launch.shared_bytes:
        kernel = _prepared(launch, index)
    pointers, arguments = packed(problem, tensors, scalars)
    stream = torch._C._cuda_getCurrentRawStream(index)
    shape = (*launch.grid, launch.block, 1, 1, launch.shared_bytes, stream)
    call = (kernel.function, *shape, arguments.buffer_info()[0], None)
    status = _driver().cuLaunchKernel(*call)
    if status == _INVALID_CONTEXT:  # a thread in which nothing has used CUDA yet
        _enter_context(index)
        status = _driver().cuLaunchKernel(*call)
    del pointers  # which the call has read
    if status:
        _require(status, f"{launch.entry} of {launch.source} with {launch}")


def packed(
    problem: ctypes.Structure, tensors: Sequence[Tensor | None], scalars: Sequence[Any]
) -> tuple[array[int], array[int]]:
    """Storage of the pointers, and the address of every argument as cuLaunchKernel wants them."""
    pointers = array("Q", [0 if tensor is None else tensor.data_ptr() for tensor in tensors])
    first, count = pointers.buffer_info()
    places = range(first, first + 8 * count, 8)
    numbers = map(ctypes.addressof, scalars)
    return pointers, array("Q", (ctypes.addressof(problem), *places, *numbers))


def _prepared(launch: Launch, index: int) -> _Kernel:
    """The kernel on device `index`, compiled and loaded if need be, allowed its shared memory."""
    key = (launch.source, launch.entry, launch.defines, index)
    with _lock, _outside_capture(index):
        kernel = _kernels.get(key) or _loaded(launch, index)
        if launch.shared_bytes > kernel.shared_bytes:
            limit = (_MAX_DYNAMIC_SHARED_SIZE_BYTES, launch.shared_bytes)
            status = _driver().cuFuncSetAttribute(kernel.function, *limit)
            _require(status, f"{launch.entry}: {launch.shared_bytes} bytes of shared memory")
            kernel = _Kernel(kernel.function, launch.shared_bytes)
        _kernels[key] = kernel
        return kernel


def _loaded(launch: Launch, index: int) -> _Kernel:
    file = (launch.source, launch.defines, index)
    if file not in _modules:
        capability = torch.cuda.get_device_capability(index)
        image = cuda_compiler.binary(launch.source, launch.defines, capability)
        module = ctypes.c_void_p()
        status = _driver().cuModuleLoadData(ctypes.byref(module), image)
        _require(status, f"loading {launch.source} for compute capability {capability}")
        _modules[file] = module
    function, name = ctypes.c_void_p(), launch.entry.encode()
    status = _driver().cuModuleGetFunction(ctypes.byref(function), _modules[file], name)
    _require(status, f"looking for {launch.entry} in {launch.source}")
    return _Kernel(function, DEFAULT_SHARED_BYTES)


def _enter_context(index: int) -> None:
    """Makes the context that torch uses on device `index` this thread's."""
    status = _driver().cuCtxSetCurrent(_context(index))
    _require(status, f"entering the context of device {index}")


@functools.cache
def _context(index: int) -> ctypes.c_void_p:
    device, context = ctypes.c_int(), ctypes.c_void_p()
    _require(_driver().cuDeviceGet(ctypes.byref(device), index), f"device {index}")
    status = _driver().cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    _require(status, f"the context of device {index}")
    return context


@contextmanager
def _outside_capture(index: int) -> Iterator[None]:
    """Lets this thread load kernels on device `index` while a stream is being captured.

    Within the device's context, which a thread in which nothing has used CUDA yet does not have.
    Loading is among the calls that a strict capture forbids to its thread, because they might order
    themselves with the stream; as torch's allocator does for its own, this says that it is meant.
    """
    _enter_context(index)
    mode = ctypes.c_int(_CAPTURE_RELAXED)
    exchange = _driver().cuThreadExchangeStreamCaptureMode
    _require(exchange(ctypes.byref(mode)), "the mode of capture")
    try:
        yield
    finally:
        _require(exchange(ctypes.byref(mode)), "the mode of capture")


@functools.cache
def _driver() -> ctypes.CDLL:
    """The driver's library; torch has loaded and initialised it where there is a CUDA tensor."""
    driver = ctypes.CDLL("libcuda.so.1")
    number, handle, out = ctypes.c_uint, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
    driver.cuLaunchKernel.argtypes = [handle, *[number] * 7, handle, handle, handle]
    driver.cuModuleLoadData.argtypes = [out, ctypes.c_char_p]
    driver.cuModuleGetFunction.argtypes = [out, handle, ctypes.c_char_p]
    driver.cuFuncSetAttribute.argtypes = [handle, ctypes.c_int, ctypes.c_int]
    driver.cuCtxSetCurrent.argtypes = [handle]
    return driver


def _require(status: int, doing: str) -> None:
    if not status:
        return
    texts = []
    for function in (_driver().cuGetErrorName, _driver().cuGetErrorString):
        text = ctypes.c_char_p()
        function(status, ctypes.byref(text))
        texts.append((text.value or b"unknown").decode())
    raise DriverError(f"involution: {doing}: {texts[0]} ({status}): {texts[1]}")
