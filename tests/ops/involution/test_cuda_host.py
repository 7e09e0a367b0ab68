"""The host shim stands for a GPU, so it is itself checked: matrix products, rounding, barriers."""

from __future__ import annotations

import ctypes

import cuda_host
import pytest
import torch

from ops.involution.backends.cuda.launch import Launch

pytestmark = cuda_host.needs_compiler

HALVES = {torch.float16: "float16", torch.bfloat16: "bfloat16"}


class _Problem(ctypes.Structure):
    _fields_ = [("unused", ctypes.c_int64)]


@pytest.fixture(autouse=True)
def _collectives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_host, "SOURCES", cuda_host.SHIM)


def launch(entry: str, dtype: str = "float16", blocks: int = 1, block: int = 32) -> Launch:
    return Launch("collectives.cu", entry, (("STORAGE", dtype),), (blocks, 1, 1), block, 4096)


@pytest.mark.parametrize("dtype", HALVES)
def test_mma_is_a_matrix_product(dtype: torch.dtype) -> None:
    a, b, c = torch.randn(16, 16).to(dtype), torch.randn(16, 8).to(dtype), torch.randn(16, 8)
    d = c.clone()
    cuda_host.execute(launch("product", HALVES[dtype]), _Problem(), [a, b, d])
    torch.testing.assert_close(d, a.float() @ b.float() + c)


@pytest.mark.parametrize("backwards", [False, True])
def test_shuffles_and_barriers_in_any_order_of_the_threads(
    backwards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_host, "backwards", backwards)
    numbers, result = torch.arange(64.0), torch.empty(64)
    cuda_host.execute(launch("neighbours", block=64), _Problem(), [numbers, result])
    assert torch.equal(result, (numbers.view(-1, 2).sum(1).repeat_interleave(2)).flip(0))


def test_threads_that_wait_forever_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="stuck: a thread waits at __syncthreads"):
        cuda_host.execute(launch("stuck"), _Problem(), [])


@pytest.mark.parametrize("dtype", HALVES)
def test_rounding_is_torchs(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31 - 1, (2**16,), generator=generator, dtype=torch.int64)
    numbers = bits.to(torch.int32).view(torch.float32)
    spread = torch.randn(2**16, generator=generator) * 2.0 ** torch.randint(-30, 18, (2**16,))
    halves = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype).float()
    special = torch.tensor([65504.0, 65519.99, 65520.0, float("inf"), float("nan"), -0.0, 3e-8])
    numbers = torch.cat([numbers, spread, halves, special, torch.zeros(32 * 8 - len(special))])
    back, stored = torch.empty_like(numbers), torch.empty_like(numbers, dtype=dtype)
    call = launch("rounded", HALVES[dtype], blocks=len(numbers) // 256, block=256)
    cuda_host.execute(call, _Problem(), [numbers, back, stored])
    wanted = numbers.to(dtype)
    assert torch.equal(wanted.isnan(), stored.isnan())
    known = ~wanted.isnan()
    assert torch.equal(stored[known], wanted[known])
    assert torch.equal(back[known], wanted[known].float())
