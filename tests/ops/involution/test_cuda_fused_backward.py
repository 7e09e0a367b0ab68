"""The CUDA kernels of the fused backward, on the CPU by the host shim, compute the gradients."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cuda_host
import oracle
import pytest
import torch
from problems import laid_out
from torch import Tensor

from ops.involution import composition, layout
from ops.involution.backends.cuda import fused_backward as cuda_fused_backward
from ops.involution.backends.cuda import launch as cuda_launch
from ops.involution.geometry import Geometry, of_span

Gradients = tuple[Tensor, ...]
CHANNELS_LAST = torch.channels_last
HALVES = [torch.float16, torch.bfloat16]


@dataclass(frozen=True)
class Case:
    """One call."""

    size: tuple[int, int]
    kernel_size: int = 7
    stride: int = 1
    hidden: int = 16
    groups: int = 2
    group_channels: int = 16
    batch: int = 2
    padding: int | None = None
    biased: bool = True
    image_layout: str = "channels_last"
    dtype: torch.dtype = torch.float16

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """grad_output, x, features, weight, bias."""
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int, scale: float = 1) -> Tensor:
            numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
            return (numbers * scale).to(self.dtype)

        channels, size = self.groups * self.group_channels, self.kernel_size
        x = laid_out(normal(self.batch, channels, *self.size), self.image_layout)
        weight = normal(self.groups, size, size, self.hidden, scale=self.hidden**-0.5)
        bias = normal(self.groups, size, size) if self.biased else None
        output_size = self.geometry(x, weight).output_size
        features = laid_out(normal(self.batch, self.hidden, *output_size), self.image_layout)
        grad_output = laid_out(normal(self.batch, channels, *output_size), self.image_layout)
        return grad_output, x, features, weight, bias

    def geometry(self, x: Tensor, weight: Tensor) -> Geometry:
        padding = (self.kernel_size - 1) // 2 if self.padding is None else self.padding
        return of_span(x, weight, (self.stride,) * 2, (padding,) * 2, (1, 1))


CASES = [
    *(Case((9, 10), size, stride) for size in (3, 5, 7) for stride in (1, 2)),
    *(Case((1, 1), size, stride) for size in (3, 7) for stride in (1, 2)),
    Case((7, 7), hidden=128, batch=3),
    Case((14, 13), hidden=64, batch=1),
    Case((15, 7), stride=2, hidden=32, batch=5),
    Case((3, 75), groups=1, batch=1),
    Case((5, 140), stride=2, groups=1, batch=1),
    Case((40, 9), 3, groups=1, batch=1),
    Case((6, 11), 5, hidden=40, batch=3),
    Case((8, 9), 3, 2, hidden=12),
    Case((9, 8), 3, hidden=5, batch=1),
    Case((10, 9), stride=2, hidden=24, group_channels=32, groups=1),
    Case((9, 7), 3, hidden=16, group_channels=24),
    Case((9, 8), 5, group_channels=8, groups=3),
    Case((12, 11), 7, padding=0),
    Case((11, 12), 7, 2, padding=1),
    Case((4, 5), 3, 2, padding=4),
    Case((6, 7), 4, groups=1),
    Case((9, 8), 6, 2, groups=1),
    Case((9, 17), groups=4, batch=1),
    Case((7, 9), 3, hidden=8, groups=2, batch=3),
    Case((11, 9), hidden=32, groups=8, batch=1),
    Case((10, 12), stride=2, hidden=32, groups=8, batch=2),
    Case((9, 11), 5, hidden=20, groups=3, batch=1),
    Case((9, 11), 5, 2, hidden=7, groups=5, batch=1),
    Case((8, 7), 7, hidden=28, group_channels=32, groups=3, batch=1),
    Case((33, 6), 3, 2, hidden=9, groups=7, batch=1),
]
TWO_PASSES = [case for case in CASES if case.hidden <= 40]
MANY_GROUPS = CASES[-6]


@pytest.fixture(autouse=True)
def _on_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_launch, "executor", cuda_host.execute)


def gradients(case: Case) -> Gradients:
    grad_output, x, features, weight, bias = case.tensors()
    geometry = case.geometry(x, weight)
    assert cuda_fused_backward.refuses(geometry, case.dtype, case.hidden) is None
    return cuda_fused_backward.backward(grad_output, x, features, weight, bias, geometry)


def definition(case: Case) -> list[Tensor]:
    """The same by autograd in float64, through the oracle."""
    grad_output, *tensors = case.tensors()
    x, features, weight, *bias = (t.double().requires_grad_() for t in tensors if t is not None)
    kernel = torch.einsum("bihw,guvi->bguvhw", features, weight)
    if bias:
        kernel = kernel + bias[0][None, :, :, :, None, None]
    geometry = case.geometry(x, weight)
    y = oracle.involution(x, kernel, geometry.stride, geometry.padding, geometry.dilation)
    return list(torch.autograd.grad(y, (x, features, weight, *bias), grad_output.double()))


def check(case: Case) -> None:
    """One rounding of kernel entries, or of their gradient, and one of the result."""
    eps = torch.finfo(case.dtype).eps
    for result, want in zip(gradients(case), definition(case), strict=case.biased):
        assert result.dtype == case.dtype
        error = result.double() - want
        assert error.norm() <= 0.6 * eps * want.norm()
        assert error.abs().max() <= 2 * eps * want.abs().max()


@pytest.mark.sampled(3)
@cuda_host.needs_compiler
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_equal_the_definitions(case: Case) -> None:
    check(case)


@pytest.mark.sampled(3)
@cuda_host.needs_compiler
@pytest.mark.parametrize("processors", [1, 5])
@pytest.mark.parametrize("two_passes", [False, True])
@pytest.mark.parametrize("case", [CASES[4], CASES[5], CASES[10]], ids=str)
def test_however_the_work_is_cut(
    case: Case, two_passes: bool, processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block for many tiles, one sum for all groups, images in one piece; and less of each."""
    monkeypatch.setattr(cuda_launch, "PROCESSORS", processors)
    if two_passes:
        in_two_passes(monkeypatch)
    check(case)


def in_two_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for shapes that the kernel of one pass does not take."""
    monkeypatch.setattr(cuda_fused_backward, "plan_span", lambda *_: None)


@pytest.mark.sampled(4)
@cuda_host.needs_compiler
@pytest.mark.parametrize("case", TWO_PASSES, ids=str)
def test_in_two_passes_too(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    in_two_passes(monkeypatch)
    check(case)


@cuda_host.needs_compiler
@pytest.mark.parametrize("in_shared", [False, True])
def test_wherever_the_weight_is(in_shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_fused_backward, "SPAN_WEIGHT_SHARED", in_shared)
    uncached(monkeypatch)
    check(MANY_GROUPS)


@pytest.mark.sampled(3)
@cuda_host.needs_compiler
@pytest.mark.parametrize("ahead", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_however_far_copies_are_ahead(
    stride: int, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In strips that are longer than the ring, and of an odd number of rows."""
    monkeypatch.setattr(cuda_fused_backward, "SPAN_AHEAD", (ahead,))
    uncached(monkeypatch)
    for size in (5, 7):
        check(Case((23 * stride, 9), size, stride, groups=1, batch=1))


@cuda_host.needs_compiler
def test_strips_in_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_fused_backward, "_walks", lambda *_: (4, 6))
    uncached(monkeypatch)
    check(Case((21, 9), batch=1))


def uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = cuda_fused_backward.plan_span.__wrapped__
    monkeypatch.setattr(cuda_fused_backward, "plan_span", plan)


@pytest.mark.sampled(3)
@cuda_host.needs_compiler
@pytest.mark.parametrize(
    "case",
    [
        CASES[4],
        CASES[3],
        replace(CASES[0], biased=False),
        replace(CASES[7], hidden=48),
        MANY_GROUPS,
    ],
    ids=str,
)
def test_bfloat16(case: Case) -> None:
    check(replace(case, dtype=torch.bfloat16))


@cuda_host.needs_compiler
@pytest.mark.parametrize("case", [CASES[4], CASES[5], CASES[10], CASES[11], MANY_GROUPS], ids=str)
def test_same_bits_in_every_order_of_the_threads(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = gradients(case), gradients(case)
    monkeypatch.setattr(cuda_host, "backwards", True)
    for one, other, reverse in zip(first, again, gradients(case), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, reverse)


@cuda_host.needs_compiler
@pytest.mark.parametrize("image_layout", ["contiguous", "sliced"])
def test_results_have_the_layouts_of_what_they_are_gradients_of(image_layout: str) -> None:
    case = CASES[4]
    wanted, other = gradients(case), replace(case, image_layout=image_layout)
    results = gradients(other)
    assert all(map(torch.equal, results, wanted))
    for result, image in zip(results, other.tensors()[1:3], strict=False):
        assert image is not None
        assert result.stride() == layout.empty_image(tuple(image.shape), image).stride()


@cuda_host.needs_compiler
def test_storage_that_is_not_aligned() -> None:
    case = CASES[4]
    tensors = case.tensors()
    geometry = case.geometry(tensors[1], tensors[3])
    moved = [t if t is None else _moved(t) for t in tensors]
    results = cuda_fused_backward.backward(*moved, geometry)  # type: ignore[arg-type]
    for result, want in zip(results, gradients(case), strict=True):
        assert torch.equal(result, want)


def _moved(tensor: Tensor) -> Tensor:
    storage = torch.empty(tensor.numel() + 1, dtype=tensor.dtype)
    return storage[1:].as_strided(tensor.shape, tensor.stride()).copy_(tensor)


SANITIZED_CASES = [CASES[0], CASES[9], Case((9, 8), 3, 2, hidden=5, group_channels=24, groups=1)]
SANITIZED = """
import sys
sys.path.insert(0, sys.argv[1])
import cuda_host, test_cuda_fused_backward
from ops.involution.backends.cuda import launch as cuda_launch

cuda_launch.executor = cuda_host.execute
cuda_host.sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
for case in test_cuda_fused_backward.SANITIZED_CASES:
    test_cuda_fused_backward.check(case)
print("clean")
"""


@pytest.mark.slow
@cuda_host.needs_compiler
def test_sanitizers_find_nothing() -> None:
    """Address and undefined behaviour, on tensors and shared memory of exactly their size."""
    libraries = [_library(name) for name in ("libasan.so", "libubsan.so")]
    if not all(map(Path.is_file, libraries)):
        pytest.skip("g++ has no sanitizer libraries")
    settings = {"LD_PRELOAD": " ".join(map(str, libraries)), "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(
        [sys.executable, "-c", SANITIZED, str(Path(__file__).parent)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "clean\n", done.stderr


def _library(name: str) -> Path:
    assert cuda_host.COMPILER is not None
    command = [cuda_host.COMPILER, f"-print-file-name={name}"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def test_an_empty_batch_gives_zeros() -> None:
    grad_x, grad_features, grad_weight, grad_bias = gradients(Case((7, 7), batch=0))
    assert grad_x.shape == (0, 32, 7, 7)
    assert grad_features.shape == (0, 16, 7, 7)
    assert torch.equal(grad_weight, torch.zeros(2, 7, 7, 16, dtype=torch.float16))
    assert torch.equal(grad_bias, torch.zeros(2, 7, 7, dtype=torch.float16))


@pytest.mark.parametrize(
    "case",
    [
        Case((5, 6), dtype=torch.float32),
        Case((5, 6), 9),
        Case((5, 6), 3, 3),
        Case((5, 6), 3, group_channels=4),
        Case((5, 6), 3, hidden=272),
    ],
    ids=str,
)
def test_other_shapes_go_through_a_kernel_tensor(case: Case) -> None:
    grad_output, x, features, weight, bias = tensors = case.tensors()
    geometry = case.geometry(x, weight)
    assert cuda_fused_backward.refuses(geometry, case.dtype, case.hidden) is not None
    results = cuda_fused_backward.backward(*tensors, geometry)
    window = (geometry.stride, geometry.padding, geometry.dilation)
    wanted = composition.composed_backward(grad_output, x, features, weight, bias, *window)
    for result, want in zip(results, wanted, strict=True):
        assert torch.equal(result, want)


# channels, K, features, size of the input, stride
REDNET50 = [
    (32, 3, 8, 112, 1),
    (64, 7, 16, 56, 1),
    (128, 7, 32, 56, 2),
    (128, 7, 32, 28, 1),
    (256, 7, 64, 28, 2),
    (256, 7, 64, 14, 1),
    (512, 7, 128, 14, 2),
    (512, 7, 128, 7, 1),
]


def rednet_geometry(layer: tuple[int, ...], batch: int) -> Geometry:
    channels, size, _, pixels, stride = layer
    out = -(-pixels // stride)
    pad = (size - 1) // 2
    pairs = ((pixels,) * 2, (out,) * 2, (stride,) * 2, (pad,) * 2, (1, 1))
    return Geometry(batch, channels, channels // 16, size, *pairs)


@pytest.mark.parametrize("layer", REDNET50, ids=str)
def test_every_layer_of_rednet50_runs_within_bounds_that_no_batch_moves(
    layer: tuple[int, ...],
) -> None:
    hidden = layer[2]
    for batch in (1, 64, 256, 4096):
        geometry = rednet_geometry(layer, batch)
        assert cuda_fused_backward.refuses(geometry, torch.float16, hidden) is None
        entries = geometry.groups * geometry.kernel_size**2
        _, weight = cuda_fused_backward.plan_weight(geometry, torch.float16, hidden)
        _, features = cuda_fused_backward.plan_features(geometry, torch.float16, hidden)
        pixels = batch * geometry.output_size[0] * geometry.output_size[1]
        most = cuda_fused_backward.WORKSPACE_BYTES
        assert 4 * weight.parts * entries * (hidden + 1) <= most
        one_pass = cuda_fused_backward.plan_span(geometry, torch.float16, hidden)
        assert (one_pass is not None) == (hidden <= 32)
        assert one_pass is None or 4 * one_pass[1].parts * entries * (hidden + 1) <= most
        assert features.parts == 1 or 4 * features.parts * pixels * hidden <= most


@pytest.mark.sampled(8)
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
@pytest.mark.parametrize("source", ["x", "span", "weight", "features"])
@pytest.mark.parametrize(
    ("layer", "dtype"),
    [(layer, torch.float16) for layer in REDNET50]
    + [
        (REDNET50[0], torch.bfloat16),
        ((64, 5, 16, 56, 2), torch.float16),
        (REDNET50[3], torch.bfloat16),
        (REDNET50[5], torch.bfloat16),
    ],
    ids=str,
)
def test_registers_hold_everything(
    source: str, layer: tuple[int, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    """On every architecture: no spills, and nothing on the stack."""
    plan = getattr(cuda_fused_backward, f"plan_{source}")
    planned = plan(rednet_geometry(layer, 64), dtype, layer[2])
    if planned is None:
        assert source == "span"
        return
    launch, _ = planned
    architectures = (80, 90, 100, 120)
    targets = (f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in architectures)
    command = [
        *("nvcc", "-fatbin", "-std=c++17", "-Xptxas=-v", *targets),
        *(f"-D{name}={value}" for name, value in launch.defines),
        *("-o", str(tmp_path / "kernel"), str(cuda_host.SOURCES / launch.source)),
    ]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    clean = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    assert report.count(clean) == len(architectures), report
