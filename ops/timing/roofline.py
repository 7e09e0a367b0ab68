"""What this machine can do at most, measured with torch: multiply-adds and copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ops.timing.clock import Run, clock_of, last_level_cache_bytes

__all__ = ["Roofline", "copy_kernel", "roofline"]

MATRIX = 1024  # 12 MB of fp32, 2.1 GFLOP: milliseconds on a core
CHANNELS, PIXELS = 64, 56  # RedNet-50's stage 1
CUDA_MATRIX = 8192  # from about here on a large GPU's rate no longer rises
MOST_COPIED_BYTES = 256 << 20  # chosen: several times a server's last-level cache


@dataclass(frozen=True)
class Roofline:
    """The two ceilings of a device, for a number of threads.

    Attributes:
        gflops: GFLOP/s of a matrix product or a 3 x 3 convolution, whichever torch does faster
            here; a multiply-add is two.
        gbytes_per_s: GB/s of a copy far larger than the last cache, read and write both counted.
        threads: torch's threads.
        device: Where it was measured.
        dtype: Of both.
    """

    gflops: float
    gbytes_per_s: float
    threads: int
    device: str
    dtype: str

    def ceiling_gflops(self, flops: float, moved: float) -> float:
        """The most GFLOP/s of work that does `flops` operations and moves so many bytes."""
        return min(self.gflops, self.gbytes_per_s * flops / max(moved, 1))

    def fraction(self, flops: float, moved: float, seconds: float) -> float:
        """Part of the ceiling that a call of `seconds` reaches.

        With `moved` the least that must be moved, this is a lower bound of what memory saw; above
        one, the data stayed in a cache.
        """
        return flops / seconds / 1e9 / self.ceiling_gflops(flops, moved)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def roofline(
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    seconds: float = 0.4,
) -> Roofline:
    """Measures both ceilings, each for about `seconds`, with torch's present threads.

    The best of the samples counts: a ceiling is what the machine can do when it is left alone.
    """
    device = torch.device(device)
    with torch.inference_mode():
        products = _product_gflops(device, dtype, seconds / 2)
        convolutions = _convolution_gflops(device, dtype, seconds / 2)
        copies = _copy_gbytes_per_s(device, seconds)
    return Roofline(
        gflops=max(products, convolutions),
        gbytes_per_s=copies,
        threads=torch.get_num_threads(),
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
    )


def copy_kernel(source: Tensor, target: Tensor) -> Callable[[], Tensor]:
    """A copy of a GPU's memory by its processors: reads `source`, writes `target`, as kernels do.

    Not `target.copy_(source)`: in a CUDA graph that becomes a memcpy node, which an H200 runs on
    its copy engine at 2.75 TB/s, where a kernel moves 4.2 TB/s. Scaled by 1.5, so that it cannot
    be mistaken for a copy, which costs nothing beside the memory.
    """
    return lambda: torch.mul(source, 1.5, out=target)


def _product_gflops(device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    size = CUDA_MATRIX if device.type == "cuda" else MATRIX
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(a)
    return 2 * size**3 / _best(lambda: torch.mm(a, b, out=product), device, seconds) / 1e9


def _convolution_gflops(device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    """On some CPUs well above the product's: torch has two libraries for the two."""
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False).to(device, dtype)
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(1, CHANNELS, PIXELS, PIXELS).to(device, dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    flops = 2 * 9 * CHANNELS**2 * PIXELS**2
    return flops / _best(lambda: layer(x), device, seconds) / 1e9


def _copy_gbytes_per_s(device: torch.device, seconds: float) -> float:
    copied = min(4 * last_level_cache_bytes(device), MOST_COPIED_BYTES)
    source = torch.ones(copied // 4, device=device)
    target = torch.zeros_like(source)
    on_gpu = device.type == "cuda"
    copy = copy_kernel(source, target) if on_gpu else (lambda: target.copy_(source))
    return 2 * source.nbytes / _best(copy, device, seconds) / 1e9


def _best(run: Run, device: torch.device, seconds: float) -> float:
    clock, passed, times = clock_of(device), 0.0, list[float]()
    while passed < seconds or len(times) < 5:
        times.append(clock(run, 1))
        passed += times[-1]
    return min(times[1:])
