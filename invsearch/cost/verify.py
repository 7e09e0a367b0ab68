"""Check a registered operator's closed forms against the module it builds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

import ops
from invsearch.cost.modules import module_macs
from invsearch.cost.trace import trace_macs
from invsearch.errors import InputError, InvsearchError
from invsearch.models import BlockSpec, ModuleSpec, SearchedSpec, TaskSpec

__all__ = ["verify_closed_form", "verify_operators"]

_SIZES = ((8, 8), (9, 5))  # even and odd, square and not: strides and paddings show


_CHECKED_BLOCKS = 8  # of each operator, some 50 ms each


def verify_operators(specs: Sequence[SearchedSpec]) -> None:
    """Check other people's operators where these networks have them, some widths of each.

    Raises:
        InputError: As :func:`verify_closed_form`.
    """
    found: dict[str, set[tuple[BlockSpec, int]]] = {}
    for spec in specs:
        for block, channels in _operators(spec):
            if not ops.get(block.operator).build.__module__.startswith("ops."):
                found.setdefault(block.operator, set()).add((block, channels))
    for blocks in found.values():
        for block, channels in sorted(blocks, key=str)[:_CHECKED_BLOCKS]:
            verify_closed_form(block, channels)


def _operators(spec: SearchedSpec) -> Iterator[tuple[BlockSpec, int]]:
    if isinstance(spec, ModuleSpec):
        return iter(())  # it is counted as it runs, without closed forms
    if isinstance(spec, TaskSpec):
        return spec.operators()
    return ((block, place.part.inner_channels) for place, block in spec.blocks())


def verify_closed_form(block: BlockSpec, channels: int) -> None:
    """Compare a registered operator's closed forms with its module, at strides 1 and 2.

    ``params`` must equal the module's trainable parameters, ``macs`` its trace
    (:func:`invsearch.cost.trace_macs`), and ``paper_macs``, where the operator gives one,
    :func:`invsearch.cost.module_macs`; outputs must be (B, C, ceil(H / stride), ceil(W / stride)).
    The search calls this once for each operator that is not built in.

    Args:
        block: The operator with its hyperparameters.
        channels: The width to check it at.

    Raises:
        InputError: If a number or a shape differs (both are named), the operator fails, or it
            contains an operation that nothing counts.
    """
    try:
        for stride in (1, 2):
            _verify(block, channels, stride)
    except InvsearchError as error:
        raise InputError(f"operator {block.operator!r}: {error}") from error
    except Exception as error:
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise InputError(
            f"operator {block.operator!r} fails with {dict(block.hyperparameters)} at "
            f"{channels} channels: {type(error).__name__}: {reason}"
        ) from error


def _verify(block: BlockSpec, channels: int, stride: int) -> None:
    operator, settings = ops.get(block.operator), dict(block.hyperparameters)
    module = operator.make(channels, stride=stride, **settings).eval()
    where = f"with {settings}, stride {stride}"
    params = sum(p.numel() for p in module.parameters() if p.requires_grad)
    _same("params", operator.params(channels, **settings), params, f"{channels} channels {where}")
    for height, width in _SIZES:
        shape = (1, channels, height, width)
        here = f"input {shape} {where}"
        _check_shape(module, shape, stride, here)
        counted = operator.macs(shape, "fvcore", stride=stride, **settings)
        _same("macs", counted, trace_macs(module, shape), here)
        if operator.paper_macs is not operator.fvcore_macs:
            counted = operator.macs(shape, "paper", stride=stride, **settings)
            _same("paper_macs", counted, module_macs(module, shape), here)


def _same(what: str, closed: int, built: int, where: str) -> None:
    if closed != built:
        raise InputError(
            f"its closed form says {what} = {closed}, its module has {built}, for {where}"
        )


def _check_shape(module: nn.Module, shape: Sequence[int], stride: int, where: str) -> None:
    with torch.no_grad():
        found = tuple(module(torch.zeros(tuple(shape))).shape)
    batch, channels, height, width = shape
    expected = (batch, channels, -(-height // stride), -(-width // stride))
    if found != expected:
        raise InputError(f"its output is {found}, expected {expected}, for {where}")
