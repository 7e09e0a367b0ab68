"""Every back end computes the definition, its gradients, and nothing else."""

from __future__ import annotations

import oracle
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from problems import Problem, laid_out, problems
from torch import Tensor

import ops
from ops.involution import library

# seeded, so that a failure is everyone's; the fixture is a name and needs no reset
PROPERTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
REAL = {
    "stem": (32, 112, 3, 1, 16),
    "stage1": (64, 56, 7, 1, 16),
    "stage2": (128, 56, 7, 2, 16),
    "stage3": (256, 14, 7, 1, 16),
    "stage4": (512, 7, 7, 1, 16),
}


def real_problem(name: str, batch: int = 1) -> Problem:
    """A layer of RedNet-50 at 224 x 224."""
    channels, size, kernel_size, stride, group_channels = REAL[name]
    padding = (kernel_size - 1) // 2
    return Problem(
        batch=batch,
        groups=channels // group_channels,
        group_channels=group_channels,
        kernel_size=kernel_size,
        size=(size, size),
        stride=(stride, stride),
        padding=(padding, padding),
        dilation=(1, 1),
        image_layout="contiguous",
        kernel_layout="native",
        seed=0,
    )


def family(problem: Problem, x: Tensor, kernel: Tensor, grad: Tensor, backend: str) -> list[Tensor]:
    """y, gradient of x, gradient of the kernel, where the back end runs, and back on the CPU."""
    window, dtype = problem.window, x.dtype
    x, grad = (there(t, backend, problem.image_layout) for t in (x, grad))
    kernel = there(kernel, backend, problem.kernel_layout)
    results = [
        library.aggregate(x, kernel, *window, backend),
        library.grad_input(grad, kernel, x.shape[2:], *window, backend),
        library.grad_kernel(grad, x, problem.kernel_size, problem.groups, *window, backend),
    ]
    return [result.to("cpu", dtype) for result in results]


def there(tensor: Tensor, backend: str, layout: str = "contiguous") -> Tensor:
    """The tensor on the back end's device; a GPU has no fp64 kernels and gets fp32 instead."""
    if backend != "cuda":
        return tensor
    dtype = torch.float32 if tensor.dtype == torch.float64 else tensor.dtype
    return laid_out(tensor.to("cuda", dtype), layout)


def close(result: Tensor, expected: Tensor, backend: str) -> None:
    """Equal in fp64, or as far as fp32 goes."""
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if backend == "cuda" else {}
    torch.testing.assert_close(result, expected, **tolerance)


@PROPERTY
@given(problem=problems())
def test_output_and_gradients_equal_the_definitions(backend: str, problem: Problem) -> None:
    x, kernel, grad = problem.tensors()
    x.requires_grad_()
    kernel.requires_grad_()
    expected = oracle.involution(x, kernel, *problem.window)
    wanted = [expected, *torch.autograd.grad(expected, (x, kernel), grad)]
    with torch.no_grad():
        results = family(problem, x, kernel, grad, backend)
    for result, want in zip(results, wanted, strict=True):
        close(result, want, backend)


@PROPERTY
@given(problem=problems())
def test_autograd_goes_through_the_same_back_end(backend: str, problem: Problem) -> None:
    x, kernel, grad = problem.tensors()
    _, *wanted = family(problem, x, kernel, grad, backend)
    leaves = (x.requires_grad_(), kernel.requires_grad_())
    y = ops.involution2d(*(there(t, backend) for t in leaves), *problem.window, backend=backend)
    results = torch.autograd.grad(y, leaves, there(grad, backend))
    for result, want in zip(results, wanted, strict=True):
        if backend == "cuda":  # other strides, so maybe another kernel
            close(result, want, backend)
        else:
            assert torch.equal(result, want)


@pytest.mark.parametrize("layer", REAL)
def test_adjoint_identity_at_real_shapes(backend: str, layer: str) -> None:
    """<F(x, H), g> = <x, GX(g, H)> = <H, GW(g, x)>: the three are one trilinear form."""
    problem = real_problem(layer)
    x, kernel, grad = problem.tensors()
    y, grad_x, grad_kernel = family(problem, x, kernel, grad, backend)
    products = [(y * grad).sum(), (x * grad_x).sum(), (kernel * grad_kernel).sum()]
    for product in products[1:]:
        close(product / products[0], torch.ones_like(product), backend)


@pytest.mark.parametrize("layer", REAL)
def test_single_precision_equals_the_oracle_back_end_at_real_shapes(
    backend: str, layer: str
) -> None:
    problem = real_problem(layer)
    tensors = problem.tensors()
    results = family(problem, *(t.float() for t in tensors), backend)
    for result, want in zip(results, family(problem, *tensors, "unfold"), strict=True):
        error = (result.double() - want).norm() / want.norm()
        assert error < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_accumulates_in_single(backend: str, dtype: torch.dtype) -> None:
    """The sum of a window is rounded once, so its error is that of one rounding."""
    if backend == "unfold":
        pytest.skip("the definition in the given type: products are rounded before they are summed")
    if backend == "native" and dtype == torch.float16:
        pytest.skip("the native back end has no float16")
    problem = real_problem("stage4", batch=2)
    tensors = problem.tensors(dtype)
    results = family(problem, *tensors, backend)
    wanted = family(problem, *(t.double() for t in tensors), "unfold")
    for result, want in zip(results, wanted, strict=True):
        assert result.dtype == dtype
        torch.testing.assert_close(
            result.double(), want, rtol=1.01 * torch.finfo(dtype).eps / 2, atol=1e-4
        )


def test_gradients_of_every_order(backend: str) -> None:
    if backend == "cuda":
        pytest.skip("numerical derivatives need fp64, which the CUDA kernels do not have")
    x = torch.randn(2, 4, 5, 4, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, 2, 3, 3, 3, 2, dtype=torch.float64, requires_grad=True)

    def call(x: Tensor, kernel: Tensor) -> Tensor:
        return ops.involution2d(x, kernel, stride=2, backend=backend)

    assert torch.autograd.gradcheck(call, (x, kernel))
    assert torch.autograd.gradgradcheck(call, (x, kernel))


def test_same_bits_in_every_run_and_for_every_thread_count(backend: str) -> None:
    problem = real_problem("stage2", batch=2)
    tensors = problem.tensors(torch.float32)
    threads = torch.get_num_threads()
    runs = []
    try:
        for count in (1, 1, 2, 3):
            torch.set_num_threads(count)
            runs.append(family(problem, *tensors, backend))
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_inf_reach_every_output_whose_window_holds_them(
    backend: str, poison: float
) -> None:
    x = torch.ones(1, 4, 9, 9)
    x[0, 1, 4, 3] = poison
    ones = there(torch.ones(1, 2, 3, 3, 9, 9), backend)
    y = ops.involution2d(there(x, backend), ones, backend=backend).cpu()
    expected = torch.zeros(1, 4, 9, 9, dtype=torch.bool)
    expected[0, 1, 3:6, 2:5] = True
    assert torch.equal(~y.isfinite(), expected)
    kernel = torch.ones(1, 2, 3, 3, 9, 9)
    kernel[0, 1, 1, 1, 5, 6] = poison
    ones = there(torch.ones(1, 4, 9, 9), backend)
    y = ops.involution2d(ones, there(kernel, backend), backend=backend).cpu()
    expected = torch.zeros(1, 4, 9, 9, dtype=torch.bool)
    expected[0, 2:, 5, 6] = True
    assert torch.equal(~y.isfinite(), expected)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_arguments_are_left_as_they_were(backend: str, layout: str) -> None:
    problem = real_problem("stage4")
    x, kernel, grad = problem.tensors(torch.float32)
    x, grad = laid_out(x, layout), laid_out(grad, layout)
    before = [t.clone() for t in (x, kernel, grad)]
    family(problem, x, kernel, grad, backend)
    assert all(torch.equal(a, b) for a, b in zip((x, kernel, grad), before, strict=True))


def test_torch_back_end_copies_no_windows() -> None:
    """Its memory does not grow with the window: no tensor it makes is larger than the kernel."""
    problem = real_problem("stage1")
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.untyped_storage().nbytes())
            return result

    tensors = problem.tensors(torch.float32)
    with Watch():
        family(problem, *tensors, "torch")
    assert largest <= tensors[1].untyped_storage().nbytes()


def test_backends_table_prints_a_line_each() -> None:
    table = ops.backends()
    assert table["torch"] == table["unfold"] == "available"
    assert str(table).splitlines()[-1].split() == ["unfold", "available"]


def test_an_unknown_back_end_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'unfolt' \(did you mean 'unfold'\?\)"):
        ops.involution2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1, 1), backend="unfolt")
