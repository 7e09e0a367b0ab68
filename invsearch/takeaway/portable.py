"""Networks as programs of torch's own operators, which run where `ops` is not installed."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

import ops
from invsearch.errors import CheckError

__all__ = ["foreign_operators", "trace"]

Ints = Sequence[int]


def trace(network: nn.Module, shape: Sequence[int], *, native: bool = False) -> ExportedProgram:
    """Trace a network in eval mode, for any number of images at a time.

    Args:
        network: Images (B, C, H, W) -> logits; left as it is.
        shape: (B, C, H, W); B alone may differ later.
        native: Whether involution stays an operator of `ops`, which then is fast and must be there;
            otherwise it becomes the paper's definition in torch's own operators.

    Raises:
        CheckError: If torch cannot trace the network.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    if not native:
        _unfuse(network)
    example = torch.zeros(max(2, shape[0]), *shape[1:])
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's, about itself
            program = torch.export.export(
                network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},)
            )
            if not native:
                program = program.run_decompositions(_definitions())
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckError(f"torch.export cannot trace the network: {reason}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def foreign_operators(program: ExportedProgram) -> list[str]:
    """Names of the operators in a program that torch itself does not have."""
    targets = {node.target for node in program.graph.nodes if node.op == "call_function"}
    named = [target for target in targets if isinstance(target, torch._ops.OpOverload)]
    return sorted({str(op.name()) for op in named if op.namespace not in ("aten", "prim")})


def _unfuse(network: nn.Module) -> None:
    """Keep every involution to the operators that :func:`_definitions` defines."""
    for module in network.modules():
        if isinstance(module, ops.Involution2d):
            module.backend = "unfold"


def _definitions() -> dict[Any, Any]:
    family = torch.ops.involution
    return {family.aggregate.default: _aggregate, family.grad_kernel.default: _grad_kernel}


def _aggregate(
    x: Tensor,
    kernel: Tensor,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    """y (B, C, H_out, W_out) from x (B, C, H, W) and kernel (B, G, K, K, H_out, W_out)."""
    _, groups, size, _, *output = kernel.shape
    windows = _windows(x, size, groups, output, stride, padding, dilation)
    weighted = windows * kernel.flatten(2, 3).unsqueeze(2)
    return weighted.sum(3).view(*x.shape[:2], *output)


def _grad_kernel(
    grad_output: Tensor,
    x: Tensor,
    kernel_size: int,
    groups: int,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    """(B, G, K, K, H_out, W_out), query-key products in self-attention."""
    batch, channels, *output = grad_output.shape
    windows = _windows(x, kernel_size, groups, output, stride, padding, dilation)
    queries = grad_output.reshape(batch, groups, channels // groups, 1, *output)
    return (windows * queries).sum(2).view(batch, groups, kernel_size, kernel_size, *output)


def _windows(
    x: Tensor,
    kernel_size: int,
    groups: int,
    output: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
) -> Tensor:
    """(B, G, C / G, K * K, H_out, W_out)."""
    batch, channels = x.shape[:2]
    geometry = (tuple(pair) for pair in (dilation, padding, stride))
    columns = F.unfold(x, kernel_size, *geometry)
    return columns.view(batch, groups, channels // groups, kernel_size**2, *output)
