"""The CUDA kernels compile for every architecture, and keep everything in registers.

By NVRTC, which compiles them for users, or else by nvcc; neither needs a GPU.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from cuda_layers import launches, layer

from ops.involution.backends.cuda import compiler as cuda_compiler
from ops.involution.backends.cuda import plans as cuda_plans
from ops.involution.backends.cuda.launch import Launch

ARCHITECTURES = (80, 90, 100, 120)
STRICT = ("--warn-on-local-memory-usage", "--warning-as-error")
"""Of the assembler: an error if anything is spilled, or else on the stack."""
SINGLE, HALF, BFLOAT = cuda_plans.STORAGE
LAST, FIRST = "channels_last", "contiguous"
LAYERS = [
    *((HALF, LAST, 3, 1, 16), (HALF, LAST, 3, 2, 16), (HALF, LAST, 5, 1, 16)),
    *((HALF, LAST, 5, 2, 8), (HALF, LAST, 7, 1, 8), (HALF, LAST, 7, 1, 16), (HALF, LAST, 7, 2, 16)),
    *((BFLOAT, LAST, 3, 1, 8), (BFLOAT, LAST, 5, 1, 16), (BFLOAT, LAST, 7, 2, 16)),
    *((SINGLE, LAST, 3, 1, 16), (SINGLE, LAST, 5, 2, 16)),
    *((SINGLE, LAST, 7, 1, 16), (SINGLE, LAST, 7, 2, 16)),
    *((SINGLE, FIRST, 3, 2, 16), (SINGLE, FIRST, 5, 1, 16)),
    *((SINGLE, FIRST, 7, 1, 16), (SINGLE, FIRST, 7, 2, 16)),
    *((HALF, FIRST, 5, 1, 16), (HALF, FIRST, 7, 2, 16), (BFLOAT, FIRST, 7, 1, 16)),
]
"""Dtype, layout, K, stride, C / G."""


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("dtype", "form", "kernel_size", "stride", "group_channels"), LAYERS)
def test_registers_hold_everything(
    dtype: torch.dtype,
    form: str,
    kernel_size: int,
    stride: int,
    group_channels: int,
    tmp_path: Path,
) -> None:
    problem = layer(kernel_size, stride, form, group_channels=group_channels)
    for launch in launches(problem, dtype):
        assert launch.source != "any_strides.cu"
        compile_strictly(launch, tmp_path)


@pytest.mark.parametrize("dtype", cuda_plans.STORAGE)
def test_the_kernels_for_any_strides_too(dtype: torch.dtype, tmp_path: Path) -> None:
    launch = launches(layer(4, 1), dtype)[0]
    assert launch.source == "any_strides.cu"
    compile_strictly(launch, tmp_path)


def compile_strictly(launch: Launch, folder: Path) -> None:
    """Compiles all of the launch's source for every architecture."""
    compiler = cuda_compiler.compiler()
    if compiler is None:
        _compile_with_nvcc(launch, folder)
        return
    strict = [f"--ptxas-options={option}" for option in STRICT]
    for architecture in ARCHITECTURES:
        options = compiler.options(launch.defines, f"sm_{architecture}")
        compiler.compile(cuda_compiler.sources(launch.source), (*options, *strict))


def _compile_with_nvcc(launch: Launch, folder: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip(f"neither NVRTC ({cuda_compiler.missing()}) nor nvcc")
    targets = (f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in ARCHITECTURES)
    command = [
        *(nvcc, "-fatbin", "-std=c++17", f"-Xptxas={','.join(STRICT)}", *targets),
        *(f"-D{name}={value}" for name, value in launch.defines),
        *("-o", str(folder / "kernel"), str(cuda_compiler.SOURCES / launch.source)),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
