"""A module's forward as a graph of its layers, by torch.fx; what it cannot follow stays a layer."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from ops.eager import hooked

__all__ = ["traced"]

_RETRIES = 64  # parts that cannot be followed, each found by one more trace


class _UnknownTensorError(Exception):
    """A forward made a tensor out of nothing: perhaps another at every call."""


class _Proxy(fx.Proxy):
    """Stands for a value, and records what writes into it: fx takes ``x += y`` for ``x + y``."""


def _record_writing(name: str) -> None:
    function = getattr(operator, name)

    def write(self: fx.Proxy, other: Any) -> fx.Proxy:
        written: fx.Proxy = self.tracer.create_proxy("call_function", function, (self, other), {})
        return written

    setattr(_Proxy, f"__{name}__", write)


_WRITING = "iadd isub imul itruediv ifloordiv imod ipow iand ior ixor imatmul ilshift irshift"

for _name in _WRITING.split():
    _record_writing(_name)


class _Tracer(fx.Tracer):
    """Enters whatever nobody watches and is no layer of torch's or ours.

    Args:
        opaque: Modules that an earlier trace failed in: layers from then on.
    """

    def __init__(self, opaque: set[nn.Module]) -> None:
        super().__init__()
        self.opaque = opaque
        self.failed: nn.Module | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if m in self.opaque or hooked(m) or m.training:
            return True
        ours = type(m).__module__.partition(".")[0] == "ops"
        return ours or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or m  # the innermost
            raise

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, Tensor) and not isinstance(a, nn.Parameter):
            known = any(a is tensor for tensor in self.root.buffers())
            if not known:
                raise _UnknownTensorError
        return super().create_arg(a)


def traced(module: nn.Module) -> fx.GraphModule | None:
    """The module's forward over images as a graph; None where it cannot be followed.

    Args:
        module: In eval mode; its graph shares its layers.
    """
    if hooked(module) or module.training or not _takes_images(module):
        return None
    opaque: set[nn.Module] = set()
    for _ in range(_RETRIES):
        tracer = _Tracer(opaque)
        try:
            graph = tracer.trace(module)
        except Exception:
            if tracer.failed is None or tracer.failed in opaque:
                return None
            opaque.add(tracer.failed)
            continue
        return fx.GraphModule(module, graph, type(module).__name__)
    return None


def _takes_images(module: nn.Module) -> bool:
    """Whether forward takes one argument: what a trace believes of others may not hold later."""
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return False
    ordinary = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return (
        len(parameters) == 1
        and parameters[0].kind in ordinary
        and parameters[0].default is inspect.Parameter.empty
        and not isinstance(module, torch.jit.ScriptModule)
    )
