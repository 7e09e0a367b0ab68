"""The fused CUDA forward, run on the CPU by the host shim, computes generation and aggregation."""

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

from ops.involution import layout
from ops.involution.backends.cuda import fused as cuda_fused
from ops.involution.backends.cuda import launch as cuda_launch
from ops.involution.backends.cuda.launch import Launch
from ops.involution.composition import composed_bottleneck
from ops.involution.geometry import Geometry, of_span

HALVES = [torch.float16, torch.bfloat16]
CHANNELS_LAST = torch.channels_last


@dataclass(frozen=True)
class Case:
    """One call, its numbers drawn by a seed."""

    size: tuple[int, int]
    kernel_size: int = 7
    stride: int = 1
    hidden: int = 16
    groups: int = 2
    group_channels: int = 16
    batch: int = 1
    padding: int | None = None
    dtype: torch.dtype = torch.float16
    biased: bool = True
    image_layout: str = "channels_last"

    def normal(self, seed: int, *shape: int, scale: float = 1) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return (torch.randn(shape, generator=generator) * scale).to(self.dtype)

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """x, features, weight, bias."""
        channels, size = self.groups * self.group_channels, self.kernel_size
        x = laid_out(self.normal(0, self.batch, channels, *self.size), self.image_layout)
        shape = (self.groups, size, size)
        weight = self.normal(1, *shape, self.hidden, scale=self.hidden**-0.5)
        bias = self.normal(2, *shape) if self.biased else None
        features = self.normal(3, self.batch, self.hidden, *self.geometry(x, weight).output_size)
        return x, laid_out(features, self.image_layout), weight, bias

    def geometry(self, x: Tensor, weight: Tensor) -> Geometry:
        padding = (self.kernel_size - 1) // 2 if self.padding is None else self.padding
        return of_span(x, weight, (self.stride,) * 2, (padding,) * 2, (1, 1))


CASES = [
    *(Case((9, 11), size, stride) for size in (3, 5, 7) for stride in (1, 2)),
    *(Case((1, 1), size, stride) for size in (3, 5, 7) for stride in (1, 2)),
    Case((5, 3), hidden=4, groups=1, batch=2),
    Case((5, 3), hidden=8, groups=4, batch=2),
    Case((4, 9), hidden=24, groups=1),
    Case((7, 7), hidden=128, groups=32),
    Case((7, 6), stride=2, hidden=128, groups=4),
    Case((1, 17), hidden=32, groups=1, padding=5),
    Case((17, 1), 5, 2, hidden=6, groups=1),
    Case((10, 9), 3, hidden=5, groups=1, group_channels=48),
    Case((6, 9), 3, 2, groups=3, group_channels=8),
    Case((9, 8), 7, 2, groups=1, group_channels=24),
    Case((8, 8), 7, padding=0),
    Case((8, 9), 7, 2, padding=0),
    Case((3, 4), 3, 1, groups=1, padding=4),
    *(Case((5, 9), size, 1, groups=1) for size in (1, 2, 4, 6)),
    *(Case((5, 9), size, 2, groups=1) for size in (1, 2, 4, 6)),
]


@pytest.fixture(autouse=True)
def _on_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_launch, "executor", cuda_host.execute)


def result_of(case: Case) -> Tensor:
    x, features, weight, bias = case.tensors()
    geometry = case.geometry(x, weight)
    assert cuda_fused.refuses(x, weight, geometry) is None
    return cuda_fused.forward(x, features, weight, bias, geometry)


def unfused(case: Case) -> tuple[Tensor, Tensor]:
    """In float64, from the oracle: exactly, and with a kernel tensor stored in the dtype."""
    x, features, weight, bias = case.tensors()
    geometry = case.geometry(x, weight)
    kernel = torch.einsum("bihw,guvi->bguvhw", features.double(), weight.double())
    if bias is not None:
        kernel = kernel + bias.double()[None, :, :, :, None, None]
    window = (geometry.stride, geometry.padding, geometry.dilation)
    stored = kernel.to(case.dtype).double()
    return tuple(oracle.involution(x.double(), k, *window) for k in (kernel, stored))  # type: ignore[return-value]


def check(case: Case) -> None:
    """As exact as the pair of a span and an aggregation in the same dtype, and close to them."""
    y, (exact, stored) = result_of(case), unfused(case)
    assert y.dtype == case.dtype
    eps, pair = torch.finfo(case.dtype).eps, stored.to(case.dtype).double()
    assert (y.double() - exact).norm() <= 1.02 * (pair - exact).norm() + 1e-6 * exact.norm()
    assert (y.double() - exact).abs().max() <= 2 * eps * exact.abs().max()
    assert (y.double() - stored).norm() <= 0.35 * eps * stored.norm()


@cuda_host.needs_compiler
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_the_unfused_pair_and_the_definition(case: Case) -> None:
    check(case)


@cuda_host.needs_compiler
@pytest.mark.parametrize("case", [CASES[4], CASES[5], CASES[0], CASES[1]], ids=str)
def test_bfloat16_without_a_bias(case: Case) -> None:
    check(replace(case, dtype=torch.bfloat16, biased=False))


@cuda_host.needs_compiler
@pytest.mark.parametrize("enough", [1, 10**9])
@pytest.mark.parametrize("groups", [1, 2, 5])
def test_however_units_are_dealt_to_blocks(
    enough: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large blocks and small ones, with units outside the image and beyond the last group."""
    monkeypatch.setattr(cuda_fused, "ENOUGH_BLOCKS", enough)
    check(Case((21, 26), 3, groups=groups, batch=2))


@cuda_host.needs_compiler
@pytest.mark.parametrize("case", [CASES[4], CASES[5]], ids=str)
def test_same_bits_in_every_order_of_the_threads(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = result_of(case), result_of(case)
    monkeypatch.setattr(cuda_host, "backwards", True)
    assert torch.equal(first, again)
    assert torch.equal(first, result_of(case))


@cuda_host.needs_compiler
@pytest.mark.parametrize("image_layout", ["contiguous", "sliced", "transposed"])
def test_any_layout_gives_the_bits_of_channels_last(image_layout: str) -> None:
    case = replace(CASES[4], image_layout=image_layout)
    y, (x, *_) = result_of(case), case.tensors()
    assert torch.equal(y, result_of(CASES[4]))
    assert y.stride() == layout.empty_image(tuple(y.shape), x).stride()


@cuda_host.needs_compiler
def test_storage_that_is_not_aligned() -> None:
    case = CASES[4]
    x, features, weight, bias = case.tensors()
    moved = [_moved(t) for t in (x, features, weight)]
    y = cuda_fused.forward(*moved, bias, case.geometry(x, weight))
    assert torch.equal(y, result_of(case))


def _moved(tensor: Tensor) -> Tensor:
    storage = torch.empty(tensor.numel() + 1, dtype=tensor.dtype)
    return storage[1:].as_strided(tensor.shape, tensor.stride()).copy_(tensor)


@cuda_host.needs_compiler
def test_what_is_not_finite_stays_where_it_belongs() -> None:
    """In features: at its pixel. In x: at row segments of eight pixels that see it."""
    case = Case((6, 21), groups=1)
    x, features, weight, bias = case.tensors()
    features[0, 0, 2, 3] = torch.nan
    y = cuda_fused.forward(x, features, weight, bias, case.geometry(x, weight))
    assert torch.equal(y.isnan().any(1).nonzero(), torch.tensor([[0, 2, 3]]))
    assert y[0, :, 2, 3].isnan().all()

    x, features, weight, bias = case.tensors()
    x[0, 0, 5, 9] = torch.inf
    y = cuda_fused.forward(x, features, weight, bias, case.geometry(x, weight))
    assert not y[0, 0, 2:, 6:13].isfinite().any()
    assert y[0, 1:].isfinite().all()
    assert y[0, 0, :2].isfinite().all()
    assert y[0, 0, :, 16:].isfinite().all()


def test_an_empty_batch() -> None:
    assert result_of(Case((7, 7), batch=0)).shape == (0, 32, 7, 7)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Case((5, 6), dtype=torch.float32), "float16 and bfloat16, not torch.float32"),
        (Case((5, 6), 9), "K = 9 is more than 7"),
        (Case((5, 6), stride=3), r"stride \(3, 3\)"),
        (Case((5, 6), group_channels=4), "C / G = 4 is no multiple of 8"),
    ],
    ids=str,
)
def test_other_shapes_are_refused_with_the_reason(case: Case, reason: str) -> None:
    x, _, weight, _ = case.tensors()
    with pytest.raises(AssertionError, match=reason):
        assert cuda_fused.refuses(x, weight, case.geometry(x, weight)) is None


@cuda_host.needs_compiler
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("case", [CASES[4], CASES[5], Case((9, 8), 3, 2, hidden=6)], ids=str)
def test_bottleneck_equals_the_whole_layer(case: Case, dtype: torch.dtype) -> None:
    """Pooled by the stride, batch norm and ReLU folded in: against float64."""
    case = replace(case, dtype=dtype)
    x, _, weight, bias = case.tensors()
    geometry, hidden = case.geometry(x, weight), case.hidden
    reduce = case.normal(4, hidden, x.shape[1], 1, 1, scale=x.shape[1] ** -0.5)
    mean, gain, offset = (case.normal(seed, hidden) for seed in (5, 6, 7))
    layer = (reduce, mean, case.normal(8, hidden).abs() + 0.5, gain, offset, weight, bias)
    y = cuda_fused.bottleneck(x, *layer, 1e-5, geometry)
    window = (geometry.stride, geometry.padding, geometry.dilation)
    exact = (None if t is None else t.double() for t in layer)
    wanted = composed_bottleneck(x.double(), *exact, 1e-5, *window)  # type: ignore[arg-type]
    assert y.dtype == dtype
    assert (y.double() - wanted).norm() <= 2 * torch.finfo(dtype).eps * wanted.norm()


SANITIZED_CASES = [
    Case((9, 11), groups=1),
    Case((6, 9), 5, 2, hidden=6, groups=1, group_channels=24),
    Case((1, 1), 3, hidden=128, groups=3),
]
SANITIZED = """
import sys
sys.path.insert(0, sys.argv[1])
import cuda_host, test_cuda_fused
from ops.involution.backends.cuda import launch as cuda_launch

cuda_launch.executor = cuda_host.execute
cuda_host.sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
for case in test_cuda_fused.SANITIZED_CASES:
    test_cuda_fused.check(case)
print("clean")
"""


@cuda_host.needs_compiler
def test_sanitizers_find_nothing() -> None:
    """Address and undefined behaviour, on tensors of exactly their size."""
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


# K, stride, hidden, groups: of RedNet-50's layers, and K = 5
COMPILED = [
    (3, 1, 8, 2),
    (3, 2, 8, 2),
    (5, 1, 16, 4),
    (5, 2, 64, 16),
    (7, 1, 16, 4),
    (7, 1, 32, 8),
    (7, 1, 128, 32),
    (7, 2, 32, 8),
    (7, 2, 128, 32),
]


@pytest.mark.sampled(8)
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
@pytest.mark.parametrize(("dtype", "relu"), [(torch.float16, True), (torch.bfloat16, False)])
@pytest.mark.parametrize("layer", COMPILED, ids=str)
@pytest.mark.parametrize("rows", [28, 56, 9])
def test_registers_hold_everything(
    rows: int, layer: tuple[int, int, int, int], dtype: torch.dtype, relu: bool, tmp_path: Path
) -> None:
    """On every architecture: no spills, and nothing on the stack, whatever the rows of a tile."""
    size, stride, hidden, groups = layer
    pairs = ((rows * stride,) * 2, (rows,) * 2, (stride,) * 2, (size // 2,) * 2, (1, 1))
    geometry = Geometry(8, 16 * groups, groups, size, *pairs)
    launch, _ = cuda_fused.plan(geometry, dtype, hidden, relu)
    report = _compiled(launch, tmp_path)
    clean = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    assert report.count(clean) == 4, report


def _compiled(launch: Launch, folder: Path) -> str:
    targets = (f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in (80, 90, 100, 120))
    command = [
        *("nvcc", "-fatbin", "-std=c++17", "-Xptxas=-v", *targets),
        *(f"-D{name}={value}" for name, value in launch.defines),
        *("-o", str(folder / "kernel"), str(cuda_host.SOURCES / launch.source)),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr
