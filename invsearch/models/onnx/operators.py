"""Operators of `ops` as nodes of ONNX, of the domain ``ops.involution``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from invsearch.models.definition import definitions
from ops.involution.composition import composed
from ops.runtimes import AGGREGATE, BOTTLENECK, DOMAIN

__all__ = ["nodes_of"]

Pair = Sequence[int]


def nodes_of(*, native: bool) -> Mapping[Any, Callable[..., Tensor]]:
    """What ``run_decompositions`` makes of each operator of `ops`.

    Args:
        native: Whether a whole layer may be one node; otherwise aggregation alone is.
    """
    family = torch.ops.involution
    table: dict[Any, Callable[..., Tensor]] = {
        **definitions(),
        family.aggregate.default: _aggregate,
        family.fused.default: composed,
    }
    if native:
        table[family.bottleneck.default] = _bottleneck
    return table


def _aggregate(
    x: Tensor, kernel: Tensor, stride: Pair, padding: Pair, dilation: Pair, backend: Any = None
) -> Tensor:
    window = (kernel.shape[1], kernel.shape[2], stride, padding, dilation)
    return _node(AGGREGATE, x, (x, kernel), *window)


def _bottleneck(x: Tensor, *rest: Any) -> Tensor:
    *tensors, epsilon, stride, padding, dilation = rest[:11]
    weight, bias = tensors[5], tensors[6]
    if bias is None:
        tensors[6] = weight.new_zeros(weight.shape[:3])
    window = (weight.shape[0], weight.shape[1], stride, padding, dilation)
    return _node(BOTTLENECK, x, (x, *tensors), *window, epsilon=epsilon)


def _node(
    name: str,
    x: Tensor,
    inputs: Sequence[Tensor],
    groups: int,
    kernel_size: int,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    epsilon: float = 0.0,
) -> Tensor:
    """One node; its attributes say all but the number of images."""
    steps = zip(x.shape[2:], padding, dilation, stride, strict=True)
    output = [(n + 2 * p - d * (kernel_size - 1) - 1) // s + 1 for n, p, d, s in steps]
    attributes: dict[str, Any] = {"epsilon": float(epsilon)}
    attributes |= {"channels": x.shape[1], "groups": groups, "kernel_size": kernel_size}
    pairs = {"stride": stride, "padding": padding, "dilation": dilation}
    pairs |= {"size": x.shape[2:], "output": output}
    for key, (rows, columns) in pairs.items():
        attributes |= {f"{key}_rows": int(rows), f"{key}_columns": int(columns)}
    shape = (x.shape[0], x.shape[1], *output)
    result: Tensor = torch.onnx.ops.symbolic(
        f"{DOMAIN}::{name}", inputs, attributes, dtype=x.dtype, shape=shape, version=1
    )
    return result
