"""Sums of layers, and the bare operator beside what torch.compile makes of it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ops
from invsearch.bench.case import Candidate, Case, Run, available_backends
from invsearch.bench.layers import (
    DEFAULT,
    UNFOLD,
    BareInvolution,
    layer_candidate,
    layer_variants,
    oracle_of,
    seeded,
)
from invsearch.bench.shapes import REDNET50, LayerShape
from ops.timing.workload import Mode

__all__ = ["COMPILED", "bare_compiled_case", "layers_case", "shift_form", "training_case"]

COMPILED = "compiled torch form"


def layers_case(batch: int, device: str) -> Case:
    """Kernel generation and aggregation of all 17 involutions, one after the other."""
    return _sum_case(f"reach/layers/b{batch}", REDNET50, batch, "forward", device)


def training_case(batch: int, device: str) -> Case:
    """Forward pass and every gradient of the 16 involutions with K = 7."""
    windows = [shape for shape in REDNET50 if shape.kernel_size == 7]
    return _sum_case("reach/training", windows, batch, "train", device, only=(UNFOLD,))


def bare_compiled_case(shape: LayerShape, batch: int, device: str, compiled: bool = True) -> Case:
    """The bare operator: as users get it, unfold, and torch.compile of shift and accumulate."""
    sizes, candidates = shape.input_shape(batch), dict[str, Candidate]()
    for name, backend in ((DEFAULT, None), (UNFOLD, UNFOLD)):
        layer = BareInvolution(shape, batch, backend)
        candidates[name] = layer_candidate(
            layer, sizes, "forward", device, backend == UNFOLD, oracle=oracle_of(name, (UNFOLD,))
        )
    if compiled:
        enter = functools.partial(_compiled, shape, batch, device)
        candidates[COMPILED] = Candidate(enter, oracle=UNFOLD)
    return Case(f"reach/bare/{shape.name}", candidates, UNFOLD)


def shift_form(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Shift and accumulate over a padded input, as one expression: what torch.compile fuses.

    x (B, C, H, W), kernel (B, G, K, K, H_out, W_out), K odd -> (B, C, H_out, W_out).
    """
    batch, groups, size, _, height, width = kernel.shape
    half = (size - 1) // 2
    padded = F.pad(x, (half, half, half, half)).unflatten(1, (groups, -1))
    total: Any = 0
    for u in range(size):
        for v in range(size):
            rows = slice(u, u + (height - 1) * stride + 1, stride)
            columns = slice(v, v + (width - 1) * stride + 1, stride)
            total = total + padded[..., rows, columns] * kernel[:, :, None, u, v]
    result: Tensor = total.reshape(batch, -1, height, width)
    return result


def _compiled(shape: LayerShape, batch: int, device: str, stack: contextlib.ExitStack) -> Run:
    x = torch.randn(shape.input_shape(batch), generator=torch.Generator().manual_seed(0)).to(device)
    kernel = BareInvolution(shape, batch, UNFOLD).kernel.detach().to(device)
    stack.callback(torch._dynamo.reset)
    stack.enter_context(torch.no_grad())
    run = torch.compile(shift_form, dynamic=False)
    return lambda: run(x, kernel, shape.stride)


def _sum_case(
    name: str,
    shapes: Sequence[LayerShape],
    batch: int,
    mode: Mode,
    device: str,
    only: tuple[str, ...] | None = None,
) -> Case:
    layers = [
        (shape, seeded(functools.partial(_involution, shape)))
        for shape in shapes
        for _ in range(shape.repeats)
    ]
    variants: dict[str, list[tuple[LayerShape, nn.Module]]] = {}
    for shape, layer in layers:
        for key, one in layer_variants(layer, device).items():
            if only is None or key in (DEFAULT, *only):
                variants.setdefault(key, []).append((shape, one))
    candidates = {
        key: Candidate(
            _together(ones, batch, mode, device, keep=False),
            oracle=oracle_of(key, variants),
            results=_together(ones, batch, mode, device, keep=True),
        )
        for key, ones in variants.items()
    }
    skipped = available_backends(device)[1] if only is None else {}
    return Case(name, candidates, UNFOLD, skipped, {"batch": batch, "mode": mode})


def _involution(shape: LayerShape) -> nn.Module:
    return ops.Involution2d(shape.channels, shape.kernel_size, shape.stride)


def _together(
    layers: Sequence[tuple[LayerShape, nn.Module]],
    batch: int,
    mode: Mode,
    device: str,
    keep: bool,
) -> Callable[[contextlib.ExitStack], Run]:
    """One layer after the other; a network does not keep their results, nor does what is timed."""

    def enter(stack: contextlib.ExitStack) -> Run:
        runs = [
            layer_candidate(layer, shape.input_shape(batch), mode, device).enter(stack)
            for shape, layer in layers
        ]
        if keep:
            return lambda: [run() for run in runs]
        return lambda: _one_by_one(runs)

    return enter


def _one_by_one(runs: Sequence[Run]) -> None:
    for run in runs:
        run()
