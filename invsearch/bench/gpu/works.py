"""Things on a GPU that work or do not, in a process that has loaded no kernel yet.

`python -m invsearch.bench.gpu.works capture` and `... two` print a line of JSON: of each part None,
or what went wrong. The caller empties the cache of kernels.
"""

from __future__ import annotations

import copy
import functools
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import ops
from invsearch.bench.gpu.compare import DTYPE, agree, streamed
from invsearch.bench.gpu.layers import spans
from invsearch.bench.shapes import LayerShape
from ops.involution.backends.cuda import cache as cuda_cache
from ops.involution.fused import fused

__all__ = ["captured", "two_gpus"]

SHAPE, BATCH = LayerShape("s1", 64, 56, 7, 1, 1), 8
TOLERANCE = 1e-2
"""Between two GPUs that may be of two kinds."""

Run = Callable[[], Any]
Parts = dict[str, str | None]


def captured(device: str = "cuda") -> Parts:
    """The bare operator, the fused one and its gradients, each first called within a capture."""
    found: Parts = {}
    with streamed(device):
        _start_libraries(device)
        for name, run, changed in _operators(device):
            found[name] = _wrong(functools.partial(_capture, run, changed))
    return found


def two_gpus() -> Parts:
    """A layer on the second GPU while the first is current: as on the first, with gradients."""
    return {"layer": _wrong(_on_the_second)}


def _operators(device: str) -> Iterator[tuple[str, Run, Tensor]]:
    """Each one's name, a call, and one of its inputs; kernels of earlier ones may be loaded."""
    (layer,) = spans([SHAPE], BATCH, device, DTYPE)
    size, groups = SHAPE.kernel_size, layer.weight.shape[0]
    sizes = (BATCH, SHAPE.output_size, SHAPE.output_size, groups, size, size)
    kernel = torch.randn(sizes, device=device, dtype=DTYPE).permute(0, 3, 4, 5, 1, 2)
    x = layer.x
    yield "bare", lambda: ops.involution2d(x, kernel), x
    yield "fused", layer.fused, x
    leaves = [tensor.clone().requires_grad_() for tensor in layer.tensors]
    y = fused(*leaves, *layer.window)
    upstream = torch.randn_like(y)
    yield (
        "backward",
        lambda: torch.autograd.grad(y, leaves, upstream, retain_graph=True),
        upstream,
    )


def _capture(run: Run, changed: Tensor) -> None:
    """Captures the first call, replays it with two other inputs, and compares every bit.

    Raises:
        ValueError: If the capture compiled nothing, or a replay has other results.
    """
    before, graph = _compiled(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream(changed.device)):
        result = run()
    if _compiled() == before:
        raise ValueError("nothing was compiled within the capture")
    for _ in range(2):
        changed.normal_()
        graph.replay()
        replayed = [tensor.clone() for tensor in _tensors(result)]
        if not all(map(torch.equal, replayed, _tensors(run()))):
            raise ValueError("a replay has other results than a call")


def _compiled() -> int:
    return len(list(cuda_cache.folder().glob("*.cubin")))


def _tensors(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def _start_libraries(device: str) -> None:
    """torch's own: also on the thread that runs gradients. What they allocate no capture may."""
    images = torch.randn(2, 64, 8, 8, device=device, dtype=DTYPE, requires_grad=True)
    weight = torch.randn(64, 64, 1, 1, device=device, dtype=DTYPE, requires_grad=True)
    matrix = torch.randn(64, 64, device=device, dtype=DTYPE, requires_grad=True)
    y = F.conv2d(images, weight).mean() + torch.mm(matrix, matrix.t()).mean()
    torch.autograd.grad(y, [images, weight, matrix])
    torch.cuda.synchronize(device)


def _on_the_second() -> None:
    first, second = torch.device("cuda:0"), torch.device("cuda:1")
    layer = ops.Involution2d(SHAPE.channels).to(first, DTYPE).eval()
    x = torch.randn(SHAPE.input_shape(BATCH), device=first, dtype=DTYPE)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.cuda.device(first):
        results = [_with_gradients(copy.deepcopy(layer).to(d), x.to(d)) for d in (second, first)]
        if torch.cuda.current_device() != first.index:
            raise ValueError("another GPU is current afterwards")
    agree([tensor.to(first) for tensor in results[0]], results[1], TOLERANCE)


def _with_gradients(layer: torch.nn.Module, x: Tensor) -> list[Tensor]:
    leaves = [x.requires_grad_(), *layer.parameters()]
    y = layer(x)
    return [y.detach(), *torch.autograd.grad(y, leaves, torch.ones_like(y))]


def _wrong(run: Callable[[], None]) -> str | None:
    try:
        run()
        torch.cuda.synchronize()
    except Exception as error:  # each part has its own verdict
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def main(what: str, device: str = "cuda") -> None:
    """Prints what went wrong, part by part."""
    print(json.dumps(captured(device) if what == "capture" else two_gpus()))


if __name__ == "__main__":
    main(*sys.argv[1:])
