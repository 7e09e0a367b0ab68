"""Networks as programs of torch's own operators, which run where `ops` is not installed."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

import ops
from invsearch.errors import CheckError
from invsearch.models.definition import definitions
from invsearch.models.portable import portable

__all__ = ["foreign_operators", "trace"]


def trace(
    network: nn.Module,
    shape: Sequence[int],
    *,
    native: bool = False,
    table: Mapping[Any, Callable[..., Tensor]] | None = None,
) -> ExportedProgram:
    """Trace a network in eval mode, for any number of images at a time.

    Args:
        network: Images (B, C, H, W) -> logits; left as it is.
        shape: (B, C, H, W); B alone may differ later.
        native: Whether involution stays an operator of `ops`, which then is fast and must be there;
            otherwise it becomes what :mod:`invsearch.models.definition` says.
        table: What to make of the operators of `ops` instead, by operator.

    Raises:
        CheckError: If torch cannot trace the network.
    """
    network = (copy.deepcopy if native else portable)(network).eval().requires_grad_(False)
    if not native:
        _unfuse(network)
    example = torch.zeros(max(2, shape[0]), *shape[1:])
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's, about itself
            program = torch.export.export(
                network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},)
            )
            if table is None and not native:
                table = definitions()
            if table is not None:
                program = program.run_decompositions(dict(table))
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
    """Keep involutions to the operators with a definition, subclasses among them."""
    for module in network.modules():
        if isinstance(module, ops.Involution2d):
            module.backend = "unfold"
            vars(module)["aggregate"] = functools.partial(ops.Involution2d.aggregate, module)
