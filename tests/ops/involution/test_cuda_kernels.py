"""The CUDA kernels, run on the CPU by the host shim, compute the definition and its gradients."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cuda_host
import oracle
import pytest
import torch
from cuda_layers import family, launches, layer
from hypothesis import HealthCheck, given, settings
from problems import Problem, problems
from torch import Tensor

from ops.involution.backends import torch_backend
from ops.involution.backends.cuda import launch as cuda_launch
from ops.involution.backends.cuda import plans as cuda_plans
from ops.involution.geometry import of_aggregate

pytestmark = cuda_host.needs_compiler

# seeded, so that a failure is everyone's; the fixture is the same for every example
PROPERTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SINGLE, HALF, BFLOAT = DTYPES = tuple(cuda_plans.STORAGE)
SIZES = [(1, 1), (5, 9), (17, 8)]
"""Of images: one pixel; a partial tile of columns; several strips of rows."""


@pytest.fixture(autouse=True)
def _on_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shim runs launches; new tensors are full of NaN, so that all of them must be written."""
    monkeypatch.setattr(cuda_launch, "executor", cuda_host.execute)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def definition(problem: Problem, x: Tensor, kernel: Tensor, grad: Tensor) -> list[Tensor]:
    """The same in float64, from the oracle."""
    x, kernel = x.double().requires_grad_(), kernel.double().requires_grad_()
    y = oracle.involution(x, kernel, *problem.window)
    return [y.detach(), *torch.autograd.grad(y, (x, kernel), grad.double())]


def reference(problem: Problem, x: Tensor, kernel: Tensor, grad: Tensor) -> list[Tensor]:
    """The same from a back end that is itself compared with the oracle, and is faster."""
    x, kernel, grad = x.double(), kernel.double(), grad.double()
    geometry = of_aggregate(x, kernel, *problem.window)
    return [
        torch_backend.aggregate(x, kernel, geometry),
        torch_backend.grad_input(grad, kernel, geometry),
        torch_backend.grad_kernel(grad, x, geometry),
    ]


def assert_close(results: list[Tensor], wanted: list[Tensor], dtype: torch.dtype) -> None:
    """A sum in single precision, rounded once to `dtype`."""
    for result, want in zip(results, wanted, strict=True):
        assert result.dtype == dtype
        torch.testing.assert_close(
            result.double(), want, rtol=1.01 * torch.finfo(dtype).eps / 2 + 1e-6, atol=1e-5
        )


@PROPERTY
@given(problem=problems())
@pytest.mark.parametrize("dtype", DTYPES)
def test_output_and_gradients_equal_the_definitions(dtype: torch.dtype, problem: Problem) -> None:
    tensors = problem.tensors(dtype)
    assert_close(family(problem, *tensors), definition(problem, *tensors), dtype)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("kernel_size", "stride", "group_channels", "dtype"),
    [
        *((3, 1, 16, HALF), (3, 2, 16, HALF), (5, 1, 8, BFLOAT), (5, 2, 16, HALF)),
        *((7, 1, 8, HALF), (7, 1, 16, BFLOAT), (7, 2, 16, HALF), (7, 1, 32, BFLOAT)),
    ],
)
def test_tensor_cores(
    kernel_size: int, stride: int, group_channels: int, dtype: torch.dtype
) -> None:
    for size in SIZES:
        problem = layer(kernel_size, stride, size=size, group_channels=group_channels)
        tensors = problem.tensors(dtype)
        assert_close(family(problem, *tensors), reference(problem, *tensors), dtype)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("groups", "group_channels", "warps"),
    [
        *((1, 16, 1), (3, 16, 1), (6, 8, 2), (4, 16, 4), (8, 8, 4)),
        *((1, 32, 2), (2, 32, 4), (1, 64, 4), (3, 48, 1), (2, 24, 1), (4, 24, 1)),
    ],
)
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (7, 2)])
def test_warps_of_a_block_copy_for_each_other(
    kernel_size: int, stride: int, groups: int, group_channels: int, warps: int
) -> None:
    """Whole groups side by side, or a part of one."""
    problem = layer(kernel_size, stride, size=(9, 11), group_channels=group_channels)
    problem = replace(problem, groups=groups)
    tensors = problem.tensors(HALF)
    assert_close(family(problem, *tensors), reference(problem, *tensors), HALF)
    assert dict(launches(problem, HALF)[0].defines)["BLOCK_WARPS"] == str(warps)


@pytest.mark.parametrize("fill", [0x00, 0xFF])
@pytest.mark.parametrize("size", [(7, 7), (14, 14), (9, 28), (5, 9)])
@pytest.mark.parametrize(
    ("kernel_size", "stride", "group_channels"), [(7, 1, 16), (7, 2, 8), (3, 1, 8), (5, 2, 16)]
)
def test_finite_numbers_never_take_the_slow_path(
    kernel_size: int,
    stride: int,
    group_channels: int,
    size: tuple[int, int],
    fill: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever an earlier block left in shared memory, where a tile of columns is partial too."""
    monkeypatch.setattr(cuda_host, "fill", fill)
    before = cuda_host.slow_calls
    problem = layer(kernel_size, stride, size=size, group_channels=group_channels)
    tensors = problem.tensors(HALF)
    assert_close(family(problem, *tensors), reference(problem, *tensors), HALF)
    assert cuda_host.slow_calls == before


def test_the_slow_path_is_counted() -> None:
    """Or the test above could not fail."""
    before = cuda_host.slow_calls
    problem = layer(3, 1)
    x, kernel, grad = problem.tensors(HALF)
    x[0, 0, 0, 0] = torch.inf
    family(problem, x, kernel, grad)
    assert cuda_host.slow_calls > before


@pytest.mark.sampled(4)
@pytest.mark.parametrize("group_channels", [8, 16])
@pytest.mark.parametrize(("groups", "width"), [(1, 7), (3, 5), (1, 8), (8, 3)])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (7, 1), (7, 2)])
def test_rows_of_entries_begin_anywhere_within_16_bytes(
    kernel_size: int, stride: int, groups: int, width: int, group_channels: int
) -> None:
    problem = replace(layer(kernel_size, stride, size=(6, width)), groups=groups)
    problem = replace(problem, group_channels=group_channels)
    tensors = problem.tensors(BFLOAT)
    assert_close(family(problem, *tensors), reference(problem, *tensors), BFLOAT)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("kernel_size", "stride", "group_channels", "form", "dtype"),
    [
        *((3, 1, 16, "channels_last", SINGLE), (3, 2, 16, "contiguous", SINGLE)),
        *((5, 1, 8, "contiguous", SINGLE), (5, 2, 16, "channels_last", SINGLE)),
        *((7, 1, 16, "channels_last", SINGLE), (7, 1, 16, "contiguous", SINGLE)),
        *((7, 2, 16, "channels_last", SINGLE), (7, 2, 8, "contiguous", HALF)),
        *((3, 1, 16, "contiguous", HALF), (7, 1, 16, "contiguous", BFLOAT)),
    ],
)
def test_without_tensor_cores(
    kernel_size: int, stride: int, group_channels: int, form: str, dtype: torch.dtype
) -> None:
    for size in SIZES:
        problem = layer(kernel_size, stride, form, size, group_channels)
        tensors = problem.tensors(dtype)
        assert_close(family(problem, *tensors), reference(problem, *tensors), dtype)


@pytest.mark.parametrize("form", ["sliced", "transposed", "native"])
@pytest.mark.parametrize("image_form", ["channels_last", "contiguous"])
def test_a_kernel_in_another_layout_is_copied(image_form: str, form: str) -> None:
    problem = replace(layer(3, 1, image_form), kernel_layout=form)
    tensors = problem.tensors(HALF)
    assert_close(family(problem, *tensors), reference(problem, *tensors), HALF)


def test_images_that_begin_anywhere() -> None:
    """16-byte accesses are for those that begin at a multiple of 16; padding may be anything."""
    problem = replace(layer(3, 1), padding=(2, 0))
    tensors = []
    for tensor in problem.tensors(HALF):
        flat = torch.empty(tensor.numel() + 3, dtype=HALF)[3:]
        tensors.append(flat.as_strided(tensor.shape, tensor.stride(), 3).copy_(tensor))
    assert_close(family(problem, *tensors), reference(problem, *tensors), HALF)


@pytest.mark.parametrize(
    ("form", "dtype", "suffix"),
    [("channels_last", HALF, ""), ("channels_last", SINGLE, "_fma"), ("contiguous", HALF, "_fma")],
)
@pytest.mark.parametrize(
    "shape", [(64, 56, 7, 1), (128, 56, 7, 2), (512, 7, 7, 1), (32, 112, 3, 1)]
)
def test_layers_of_rednet_are_fast_and_share_kernels(
    shape: tuple[int, int, int, int], form: str, dtype: torch.dtype, suffix: str
) -> None:
    """None is left to the kernels for any strides, and none compiled for its number of pixels."""
    channels, size, kernel_size, stride = shape
    problem = replace(
        layer(kernel_size, stride, form, (size, size)), groups=channels // 16, batch=1
    )
    small = replace(problem, size=(3, 16), batch=3, groups=3 * problem.groups)
    for of_layer, of_small, name in zip(
        launches(problem, dtype),
        launches(small, dtype),
        ("aggregate", "grad_input", "grad_kernel"),
        strict=True,
    ):
        assert of_layer.source == f"{name}{suffix}.cu"
        assert (of_layer.source, of_layer.defines) == (of_small.source, of_small.defines)


@pytest.mark.parametrize("dtype", [SINGLE, HALF])
def test_same_bits_in_every_run_and_order_of_threads(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads run in any order between barriers, so a missing one shows."""
    problem = layer(5, 2, size=(15, 21))
    tensors = problem.tensors(dtype)
    runs = [family(problem, *tensors) for _ in range(2)]
    monkeypatch.setattr(cuda_host, "backwards", True)
    runs.append(family(problem, *tensors))
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("form", "dtype"), [("channels_last", HALF), ("contiguous", SINGLE)])
def test_what_is_not_finite_reaches_its_window_and_nothing_else(
    form: str, dtype: torch.dtype, stride: int, poison: float
) -> None:
    """Tensor cores multiply it by the zeros of a band, and padding is zeros too."""
    problem = layer(3, stride, form)
    for index in range(3):
        for place in ((0, 0), (2, 3)):
            tensors = problem.tensors(dtype)
            tensors[index][0, 1][..., place[0], place[1]] = poison
            results, wanted = family(problem, *tensors), reference(problem, *tensors)
            for result, want in zip(results, wanted, strict=True):
                assert torch.equal(result.isfinite(), want.isfinite())
                known = want.isfinite()
                torch.testing.assert_close(
                    result[known].double(), want[known], rtol=1e-3, atol=1e-5
                )


@pytest.mark.parametrize(
    ("form", "dtype", "kernel_size", "source"),
    [
        ("channels_last", HALF, 3, ""),
        ("channels_last", SINGLE, 3, "_fma"),
        ("contiguous", HALF, 3, "_fma"),
        ("contiguous", HALF, 4, "any_strides"),
    ],
)
def test_offsets_beyond_32_bits(
    form: str, dtype: torch.dtype, kernel_size: int, source: str
) -> None:
    """Two images 2^31 numbers apart, in memory that is reserved and mostly never touched."""
    problem = replace(layer(kernel_size, 1, form), padding=(2, 2))
    x, kernel, grad = problem.tensors(dtype)
    near = family(problem, x, kernel, grad)
    geometry = of_aggregate(x, kernel, *problem.window)
    far_x, far_kernel, far_grad = _far(x), _far(kernel), _far(grad)
    y, grad_x, grad_kernel = (_far(result).fill_(torch.nan) for result in near)
    for operator, places, arguments in (
        ("aggregate", (far_x, y, far_kernel), (far_x, far_kernel, y)),
        ("grad_input", (grad_x, far_grad, far_kernel), (far_grad, far_kernel, grad_x)),
        ("grad_kernel", (far_x, far_grad, grad_kernel), (far_grad, far_x, grad_kernel)),
    ):
        strides = (tensor.stride() for tensor in places)
        launch, steps = cuda_plans.plan(operator, geometry, dtype, *strides, True)
        assert launch.source in (f"{operator}{source}.cu", f"{source}.cu")
        cuda_launch.run(launch, steps, arguments)
    for result, want in zip((y, grad_x, grad_kernel), near, strict=True):
        assert torch.equal(result, want)


def _far(tensor: Tensor) -> Tensor:
    """The same numbers, the images 2^31 + 8 of them apart."""
    flat = torch.frombuffer(_reserved(tensor.itemsize * (2**31 + 2**20)), dtype=tensor.dtype)
    return flat.as_strided(tensor.shape, (2**31 + 8, *tensor.stride()[1:])).copy_(tensor)


def _reserved(length: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    except (OSError, ValueError) as error:
        pytest.skip(f"cannot reserve {length} bytes of address space: {error}")


@pytest.mark.parametrize("stride", [1, 2])
def test_the_released_algorithm_is_the_definition_too(stride: int) -> None:
    """Or the benchmark would compare with something else."""
    problem = layer(3, stride)
    x, kernel, grad = problem.tensors(SINGLE)
    y = cuda_plans.released(x, kernel, of_aggregate(x, kernel, *problem.window))
    assert_close([y], reference(problem, x, kernel, grad)[:1], SINGLE)


def sanitized_problems() -> Iterator[tuple[Problem, torch.dtype]]:
    """Partial tiles, odd sizes, one pixel, strides, dilations, padding; every source."""
    yield layer(7, 1, size=(9, 13)), HALF
    yield layer(7, 1, size=(1, 1)), HALF
    yield layer(3, 2, size=(8, 19), group_channels=8), BFLOAT
    yield layer(7, 2, size=(5, 9)), SINGLE
    yield layer(3, 1, "contiguous", (9, 10), 8), BFLOAT
    yield replace(layer(4, 1, size=(7, 6), group_channels=3), dilation=(2, 1)), HALF
    yield replace(layer(3, 3, "contiguous", (7, 6)), padding=(3, 0)), SINGLE


SANITIZED = """
import sys
sys.path.insert(0, sys.argv[1])
import test_cuda_kernels as here

here.cuda_launch.executor = here.cuda_host.execute
for problem, dtype in here.sanitized_problems():
    tensors = problem.tensors(dtype)
    here.assert_close(here.family(problem, *tensors), here.reference(problem, *tensors), dtype)
print("clean")
"""


@pytest.mark.slow
def test_sanitizers_find_nothing() -> None:
    """Address and undefined behaviour, on tensors and shared memory of exactly their size."""
    environment = cuda_host.sanitized_environment()
    if environment is None:
        pytest.skip("g++ has no sanitizer libraries")
    done = subprocess.run(
        [sys.executable, "-c", SANITIZED, str(Path(__file__).parent)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "clean\n", done.stderr
