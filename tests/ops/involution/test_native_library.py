"""The native back end: its variants, its loader, and a machine that lacks it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ops
from ops.involution import library
from ops.involution.backends.native import library as native_library
from ops.involution.backends.native.library import Kernels

MISSING = ops.backends()["native"]
needs_kernels = pytest.mark.skipif(MISSING != "available", reason=f"native: {MISSING}")


@pytest.fixture
def kernels() -> Iterator[Kernels]:
    """The loaded library; its variant is put back afterwards."""
    loaded = native_library.kernels()
    assert loaded is not None
    variant = loaded.variant
    yield loaded
    loaded.use(variant)


@needs_kernels
def test_every_variant_computes_the_same(kernels: Kernels) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 48, 17, 15).to(memory_format=torch.channels_last)
    layer = ops.Involution2d(48, backend="native").eval()
    results = {}
    for variant in kernels.variants:
        kernels.use(variant)
        z = x.clone().requires_grad_()
        y = layer(z)
        y.sum().backward()
        with torch.no_grad():
            results[variant] = [y.detach(), z.grad, layer(x)]
    assert kernels.variants
    best = results.pop(kernels.variants[0])
    for others in results.values():
        for other, result in zip(others, best, strict=True):
            torch.testing.assert_close(other, result, rtol=1e-4, atol=1e-5)


@needs_kernels
def test_an_unknown_variant_is_refused(kernels: Kernels) -> None:
    with pytest.raises(KeyError):
        kernels.use("x86-64-v9")


@needs_kernels
@pytest.mark.parametrize("sizes", [(1, 1), (1, 40), (40, 1), (2, 300), (5, 6), (13, 127)])
@pytest.mark.parametrize("group_channels", [1, 8, 16, 40])
def test_awkward_sizes(sizes: tuple[int, int], group_channels: int) -> None:
    """Rows shorter than a tile, longer than a chunk, groups that fill no register or several."""
    torch.manual_seed(0)
    x = torch.randn(1, 2 * group_channels, *sizes)
    kernel = torch.randn(1, 2, 7, 7, *sizes)
    grad = torch.randn_like(x)
    window = ((1, 1), (3, 3), (1, 1))
    for name in ("native", "unfold"):
        results = [
            library.aggregate(x, kernel, *window, name),
            library.grad_input(grad, kernel, sizes, *window, name),
            library.grad_kernel(grad, x, 7, 2, *window, name),
        ]
        if name == "native":
            ours = results
    for result, want in zip(ours, results, strict=True):
        torch.testing.assert_close(result, want, rtol=1e-4, atol=1e-4)


@needs_kernels
def test_a_broadcast_gradient_is_read_as_it_is() -> None:
    """The gradient of a sum has only strides of zero."""
    x = torch.randn(2, 16, 8, 8, requires_grad=True)
    ops.involution2d(x, torch.ones(2, 1, 3, 3, 8, 8), backend="native").sum().backward()
    expected = torch.full((8, 8), 9.0)
    expected[[0, -1]] = 6
    expected[:, [0, -1]] = expected[:, [0, -1]] * 2 / 3
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected.expand_as(x))


@needs_kernels
def test_denormals_are_computed_with() -> None:
    """The process's floating-point mode is neither changed by the library nor by a call."""
    x = torch.full((1, 16, 9, 9), 1e-39)
    y = ops.involution2d(x, torch.full((1, 1, 3, 3, 9, 9), 0.25), backend="native")
    assert y[0, 0, 4, 4].item() == pytest.approx(9 * 0.25e-39, rel=1e-5)
    assert (torch.tensor([1e-39]) * 0.5).item() > 0


@needs_kernels
def test_float16_is_left_to_the_next_back_end() -> None:
    x, kernel = torch.ones(1, 1, 1, 1).half(), torch.ones(1, 1, 1, 1, 1, 1).half()
    assert ops.involution2d(x, kernel).item() == 1
    with pytest.raises(RuntimeError, match=r"'native' cannot run: it takes .* not torch.float16"):
        ops.involution2d(x, kernel, backend="native")


def test_a_folder_without_a_library_says_what_to_do(tmp_path: Path) -> None:
    kernels, reason = native_library._found(tmp_path)
    assert kernels is None
    assert reason is not None
    assert "no working C++ compiler" in reason
    assert "reinstall" in reason


def test_a_broken_library_says_so(tmp_path: Path) -> None:
    name = f"_native{native_library.machinery.EXTENSION_SUFFIXES[0]}"
    (tmp_path / name).write_bytes(b"not a library")
    kernels, reason = native_library._found(tmp_path)
    assert kernels is None
    assert reason is not None
    assert name in reason
    assert "cannot be loaded" in reason


def test_what_an_earlier_version_left_is_not_taken(tmp_path: Path) -> None:
    """It built one for each Python, beside which the one for all of them now lies."""
    suffixes = [s for s in native_library.machinery.EXTENSION_SUFFIXES if "abi3" not in s]
    (tmp_path / f"_native{suffixes[0]}").touch()
    assert native_library.path(tmp_path) == tmp_path / f"_native{suffixes[0]}"
    (tmp_path / "_native.abi3.so").touch()
    assert native_library.path(tmp_path) == tmp_path / "_native.abi3.so"


@needs_kernels
def test_the_library_needs_no_torch(tmp_path: Path) -> None:
    """A plain C interface: the same file serves every version of torch."""
    path = native_library.path()
    assert path is not None
    copied = shutil.copy(path, tmp_path)
    assert Kernels(Path(copied)).variants == native_library.kernels().variants  # type: ignore[union-attr]
    assert b"libtorch" not in path.read_bytes()
