"""Runs a `Launch` on CPU tensors: the kernels compiled by g++ with the shim in `cuda/shim.h`.

Put `execute` at `cuda_launch.executor`, and plans, argument packing and kernels run as on a GPU.
"""

from __future__ import annotations

import ctypes
import functools
import getpass
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from ops.involution.backends.cuda import launch as cuda_launch
from ops.involution.backends.cuda.launch import Launch

SOURCES = Path(cuda_launch.__file__).parent / "kernels"
SHIM = Path(__file__).parent / "cuda"
COMPILER = shutil.which("g++")
BASE_FLAGS = (
    *("-std=c++17", "-O1", "-g0", "-fPIC", "-shared", "-fno-strict-aliasing"),
    *("-Wno-unknown-pragmas", "-DINVOLUTION_HOST", f"-I{SOURCES}", f"-I{SHIM}"),
)
SHARED_LIMIT = 99 * 1024
"""Bytes of shared memory that a block may have on every GPU from sm_80 on."""

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no g++ for the host shim")

SANITIZERS = "INVOLUTION_SANITIZERS"
"""Variable with further flags of the compiler, for a process started with their library."""
sanitizers = tuple(os.environ.get(SANITIZERS, "").split())

backwards = False
"""Runs the threads of a block from the last to the first: a missing barrier changes the result."""
fill = 0xFF
"""Byte that shared memory is full of before a block runs; 0xff makes NaN."""
slow_calls = 0
"""Threads that took a slow path, in all launches so far."""


def execute(
    launch: Launch,
    problem: ctypes.Structure,
    tensors: Sequence[Tensor | None],
    scalars: Sequence[Any] = (),
) -> None:
    """An executor for `cuda_launch`: runs the launch on CPU tensors before it returns.

    Raises:
        RuntimeError: If the kernel does not compile, or its threads wait for each other forever.
    """
    _check(launch)
    pointers = [ctypes.c_void_p(None if t is None else t.data_ptr()) for t in tensors]
    values = [problem, *pointers, *scalars]
    arguments = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    grid = (ctypes.c_uint * 3)(*launch.grid)
    kernel = library(SOURCES / launch.source, launch.entry, launch.defines, sanitizers)
    function = kernel.run_on_host
    function.restype = ctypes.c_char_p
    slow = ctypes.c_long()
    modes = int(backwards), fill, ctypes.byref(slow)
    trouble = function(grid, launch.block, ctypes.c_size_t(launch.shared_bytes), arguments, *modes)
    global slow_calls
    slow_calls += slow.value
    if trouble is not None:
        raise RuntimeError(f"{launch.entry}: {trouble.decode()}")


def sanitized_environment() -> dict[str, str] | None:
    """Variables for a process that runs the kernels under sanitizers; None if g++ has none."""
    assert COMPILER is not None
    libraries = []
    for name in ("libasan.so", "libubsan.so"):
        found = subprocess.run(
            [COMPILER, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        )
        libraries.append(found.stdout.strip())
    if not all(Path(library).is_file() for library in libraries):
        return None
    return {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",
        SANITIZERS: "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
    }


@functools.cache
def library(
    source: Path, entry: str, defines: tuple[tuple[str, str], ...], flags: tuple[str, ...] = ()
) -> ctypes.CDLL:
    """The kernel `entry` of `source`, compiled unless an earlier process has done so."""
    assert COMPILER is not None
    command = [
        *(COMPILER, *BASE_FLAGS, *flags, f'-DSOURCE="{source}"', f"-DKERNEL={entry}"),
        *(f"-D{name}={value}" for name, value in defines),
    ]
    path = _cache() / f"{_digest(command, source)}.so"
    if not path.exists():
        _compile(command, path)
    return ctypes.CDLL(str(path))


def _check(launch: Launch) -> None:
    """What a GPU would refuse."""
    limits = (2**31 - 1, 65535, 65535)
    assert all(1 <= n <= most for n, most in zip(launch.grid, limits, strict=True)), launch
    assert launch.block % 32 == 0, launch
    assert 32 <= launch.block <= 1024, launch
    assert 0 <= launch.shared_bytes <= SHARED_LIMIT, launch


def _compile(command: list[str], path: Path) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        [*command, str(SHIM / "host.cpp"), "-o", str(draft)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    draft.replace(path)


def _cache() -> Path:
    path = Path(tempfile.gettempdir()) / f"involution-host-{getpass.getuser()}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _digest(command: list[str], source: Path) -> str:
    files = [source, *sorted(SOURCES.glob("*.h")), *sorted(SHIM.iterdir())]
    content = b"\0".join(file.read_bytes() for file in files)
    return hashlib.sha256("\0".join(command).encode() + content).hexdigest()[:32]
