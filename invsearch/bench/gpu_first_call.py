"""Prints how many seconds the first call of a process takes; the caller empties the cache.

`python -m invsearch.bench.gpu_first_call bare` times the bare operator, `layer` a whole layer.
torch, its CUDA context and its matrix library are up before: only what is ours is timed.
"""

from __future__ import annotations

import sys
import time

import torch

import ops

__all__ = ["first_call_s"]


def first_call_s(part: str, device: str = "cuda") -> float:
    """Seconds until the result is there, of a K = 7 layer with 64 channels in fp16."""
    x = torch.randn(8, 64, 56, 56, device=device).half()
    x = x.contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(8, 56, 56, 4, 7, 7, device=device).half().permute(0, 3, 4, 5, 1, 2)
    layer = ops.Involution2d(64).to(device).half().eval()
    with torch.inference_mode():
        torch.nn.functional.conv2d(x, torch.ones_like(x[:16, :, :1, :1]))
        torch.mm(x[0, 0], x[0, 0].t())
        _wait(device)
        begin = time.perf_counter()
        if part == "bare":
            ops.involution2d(x, kernel)
        else:
            layer(x)
        _wait(device)
        return time.perf_counter() - begin


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    print(first_call_s(*sys.argv[1:]))
