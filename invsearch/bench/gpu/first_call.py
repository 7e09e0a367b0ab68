"""Prints how many seconds the first call of a process takes; the caller empties the cache.

`python -m invsearch.bench.gpu.first_call bare` times the bare operator, `layer` a whole layer.
torch, its CUDA context and its matrix library are up before: only what is ours is timed. It says
that they are, and waits for a line: so several processes can begin side by side, and still time
their calls one after the other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

import ops

__all__ = ["READY", "first_call_s"]

READY = "ready"


def first_call_s(part: str, device: str = "cuda") -> float:
    """Seconds until the result is there, of a K = 7 layer with 64 channels in fp16."""
    return _prepared(part, device)()


def main(part: str, device: str = "cuda") -> None:
    """Prints `READY`, reads a line, and prints the seconds."""
    timed = _prepared(part, device)
    print(READY, flush=True)
    sys.stdin.readline()
    print(timed())


def _prepared(part: str, device: str) -> Callable[[], float]:
    x = torch.randn(8, 64, 56, 56, device=device).half()
    x = x.contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(8, 56, 56, 4, 7, 7, device=device).half().permute(0, 3, 4, 5, 1, 2)
    layer = ops.Involution2d(64).to(device).half().eval()
    with torch.inference_mode():
        torch.nn.functional.conv2d(x, torch.ones_like(x[:16, :, :1, :1]))
        torch.mm(x[0, 0], x[0, 0].t())
        _wait(device)

    @torch.inference_mode()
    def timed() -> float:
        begin = time.perf_counter()
        if part == "bare":
            ops.involution2d(x, kernel)
        else:
            layer(x)
        _wait(device)
        return time.perf_counter() - begin

    return timed


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main(*sys.argv[1:])
