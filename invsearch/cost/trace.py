"""Count by tracing a built module: fvcore's convention, and torch's FlopCounterMode to check it."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import ops
from invsearch.cost.free import is_free
from invsearch.cost.observe import evaluating, on_meta
from invsearch.errors import CheckError

if TYPE_CHECKING:
    from fvcore.nn import FlopCountAnalysis

__all__ = [
    "flop_counter_macs",
    "refuse",
    "trace_handles",
    "trace_macs",
]

Shape = tuple[int, ...]
Handle = Callable[[Sequence[Shape | None], Sequence[Shape]], int]


def trace_macs(module: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of one forward pass, by fvcore's handles and those of registered operators.

    The module is counted in eval mode and its modes are restored. Convolutions, linear layers and
    matrix products count their multiply-adds without biases, batch norm 2 per element, adaptive
    average pooling 1 per input element.

    Args:
        module: Any module on the CPU that takes one image tensor; the trace runs it.
        shape: Input shape (B, C, H, W).

    Returns:
        The number of multiply-adds.

    Raises:
        CheckError: If an operation is neither counted nor on the free list of ``cost/free.py``.
    """
    with evaluating(module):
        analysis = _analyse(module, shape)
    unknown = {
        name: sorted(op for op in analysis.unsupported_ops(name) if not is_free(op))
        for name, _ in module.named_modules()
    }
    if unknown[""]:
        refuse((op, _innermost(op, unknown)) for op in unknown[""])
    return int(analysis.total())


def flop_counter_macs(module: nn.Module, shape: Sequence[int]) -> Counter[str]:
    """Multiply-adds by operation according to ``FlopCounterMode``, without computing anything.

    It knows convolutions and matrix products, and here the registered operators' custom ones; batch
    norm and pooling are not in it. A cross-check of :func:`trace_macs`.

    Args:
        module: Any module that takes one image tensor.
        shape: Input shape (B, C, H, W).

    Returns:
        Multiply-adds by qualified operation, such as ``aten::convolution``.
    """
    from torch.utils.flop_counter import FlopCounterMode

    mapping = {_packet(name): _formula(handle) for name, handle in trace_handles().items()}
    with FlopCounterMode(display=False, custom_mapping=mapping) as mode:
        on_meta(module, shape)
    flops = mode.get_flop_counts().get("Global", {})
    return Counter({str(op).replace(".", "::"): count // 2 for op, count in flops.items()})


def trace_handles() -> Mapping[str, Handle]:
    """Handles of the custom operations of every operator that can be loaded."""
    handles: dict[str, Handle] = {}
    for name in ops.names():
        with suppress(ImportError):  # a broken plugin is reported when it is asked for
            handles.update(ops.get(name).trace_handles)
    return handles


def refuse(unknown: Iterable[tuple[str, str]]) -> None:
    """Raise the CheckError for ``(operation, module name)`` pairs that nothing counts."""
    found = "; ".join(f"{op} in {module or 'the model'}" for op, module in unknown)
    raise CheckError(
        f"counting failed, nothing counts {found}: register the operator with its closed form and "
        "trace_handles, or write it with operations that are counted"
    )


def _analyse(module: nn.Module, shape: Sequence[int]) -> FlopCountAnalysis:
    with warnings.catch_warnings():
        # fvcore traces with TorchScript, deprecated since torch 2.11 and still working
        warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

        logger = logging.getLogger("fvcore.nn.jit_analysis")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            analysis = FlopCountAnalysis(module, torch.zeros(tuple(shape)))
            for name, handle in trace_handles().items():
                analysis.set_op_handle(name, _jit_handle(handle))
            analysis.total()
        finally:
            logger.setLevel(level)
    return analysis


def _jit_handle(handle: Handle) -> Callable[[list[Any], list[Any]], int]:
    def count(inputs: list[Any], outputs: list[Any]) -> int:
        from fvcore.nn.jit_handles import get_shape

        shapes = [None if s is None else tuple(s) for s in map(get_shape, inputs)]
        return handle(shapes, [tuple(get_shape(value)) for value in outputs])

    return count


def _formula(handle: Handle) -> Callable[..., int]:
    def flops(*shapes: Any, out_shape: Any, **_: Any) -> int:
        inputs = [tuple(s) if isinstance(s, torch.Size) else None for s in shapes]
        outputs = [out_shape] if isinstance(out_shape, torch.Size) else list(out_shape)
        return 2 * handle(inputs, [tuple(s) for s in outputs])

    return flops


def _packet(name: str) -> Any:
    namespace, operation = name.split("::")
    return getattr(getattr(torch.ops, namespace), operation)


def _innermost(operation: str, unknown: Mapping[str, Sequence[str]]) -> str:
    holders = [name for name, operations in unknown.items() if operation in operations]
    return max(holders, key=len)
