"""Count a built module by fvcore's trace of it."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from invsearch.cost.elements import FVCORE
from invsearch.cost.free import is_free
from invsearch.cost.observe import evaluating, image_for
from invsearch.cost.products import Rule
from invsearch.cost.refusal import refuse, refuse_untraceable, refuse_unwatchable
from invsearch.cost.rules import rules

if TYPE_CHECKING:
    from fvcore.nn import FlopCountAnalysis

__all__ = ["trace_macs"]


def trace_macs(module: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of one forward pass, by fvcore's trace and the rules of this package.

    The module is counted in eval mode and its modes are restored. Convolutions, linear layers and
    matrix products count their multiply-adds without biases, recurrent layers and attention those
    of their matrix products, batch norm 2 per element, adaptive average pooling 1 per input
    element. What is computed counts, whether its result is used or not; types do not matter.

    Args:
        module: Any module that takes one image tensor; the trace runs it, where its weights are.
        shape: Input shape (B, C, H, W).

    Returns:
        The number of multiply-adds.

    Raises:
        CheckError: If an operation is neither counted nor on the free list of ``cost/free.py``.
    """
    refuse_unwatchable(module)
    refuse_untraceable(module)
    with evaluating(module), _balanced(module), _with_dead_code(module):
        analysis = _analyse(module, shape)
    unknown = {
        name: sorted(op for op in analysis.unsupported_ops(name) if not is_free(op))
        for name, _ in module.named_modules()
    }
    if unknown[""]:
        refuse((op, _innermost(op, unknown)) for op in unknown[""])
    return int(analysis.total())


def _analyse(module: nn.Module, shape: Sequence[int]) -> FlopCountAnalysis:
    with warnings.catch_warnings():
        # fvcore traces with TorchScript, deprecated since torch 2.11 and still working
        warnings.filterwarnings("ignore", r"`torch\.jit", Warning)
        # which kernel torch takes is nothing to who counts
        warnings.filterwarnings("ignore", "LSTM with projections", UserWarning)
        from fvcore.nn import FlopCountAnalysis

        logger = logging.getLogger("fvcore.nn.jit_analysis")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            analysis = FlopCountAnalysis(module, image_for(module, shape))
            analysis.clear_op_handles()
            for name, rule in {**FVCORE, **rules()}.items():
                analysis.set_op_handle(name, _jit_handle(rule), f"{name}_", _jit_handle(rule))
            analysis.total()
        finally:
            logger.setLevel(level)
    return analysis


@contextmanager
def _balanced(module: nn.Module) -> Iterator[None]:
    """Close the scope of a part that raises, where whoever called it goes on.

    fvcore opens a scope in the tracer before each part and closes it only where the part returns;
    one that stays open aborts the process.
    """
    handled: list[BaseException | None] = []  # what was being handled when each part was called

    def before(part: nn.Module, inputs: Any) -> None:
        handled.append(sys.exception())

    def after(part: nn.Module, inputs: Any, output: Any) -> None:
        state = torch._C._get_tracing_state()
        if sys.exception() is not handled.pop() and state is not None:
            state.pop_scope()

    with ExitStack() as hooks:
        for part in module.modules():
            hooks.callback(part.register_forward_pre_hook(before).remove)
            hooks.callback(part.register_forward_hook(after, always_call=True).remove)
        yield


@contextmanager
def _with_dead_code(module: nn.Module) -> Iterator[None]:
    """Keep what is computed and not used in the trace of a module.

    The tracer throws away what no output depends on. A ``print`` of it, which it must not throw
    away and which is never carried out, keeps it. So the output itself is not needed, and may be
    something that cannot be traced.
    """

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> Tensor:
        graph = torch._C._get_tracing_state().graph()
        for node in list(_nodes(graph)):
            unused = [value for value in node.outputs() if not value.uses()]
            if unused:
                graph.create("prim::Print", unused, 0).insertAfter(node)
        return inputs[0]

    hook = module.register_forward_hook(keep)
    try:
        yield
    finally:
        hook.remove()


def _nodes(block: Any) -> Iterator[Any]:
    """Of a graph under construction; every part that ran has a block in it."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _jit_handle(rule: Rule) -> Callable[[list[Any], list[Any]], int]:
    def count(inputs: list[Any], outputs: list[Any]) -> int:
        shapes = [shape for shape in map(_argument, outputs) if isinstance(shape, tuple)]
        return rule([_argument(value) for value in inputs], shapes)

    return count


def _argument(value: Any) -> Any:
    """A value of a trace as rules take it: shape, list or constant, None where it is not known."""
    if value.isCompleteTensor():
        return tuple(value.type().sizes())
    node = value.node()
    if node.kind() == "prim::ListConstruct":
        return [_argument(one) for one in node.inputs()]
    return value.toIValue() if node.kind() == "prim::Constant" else None


def _innermost(operation: str, unknown: Mapping[str, Sequence[str]]) -> str:
    holders = [name for name, operations in unknown.items() if operation in operations]
    return max(holders, key=len)
