"""Count by torch's own ``FlopCounterMode``: an independent check of the other counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from invsearch.cost.meta_trace import FvcoreCounter
from invsearch.cost.observe import Call
from invsearch.cost.products import Rule
from invsearch.cost.rules import rules

__all__ = ["flop_counter_macs"]


def flop_counter_macs(module: nn.Module, shape: Sequence[int]) -> Counter[str]:
    """Multiply-adds by operation according to ``FlopCounterMode``, without computing anything.

    It has its own formulas of convolutions and matrix products, and those of this package for what
    it does not know; batch norm and pooling are not in it. A cross-check of
    :func:`invsearch.cost.trace_macs`.

    Args:
        module: Any module that takes one image tensor.
        shape: Input shape (B, C, H, W).

    Returns:
        Multiply-adds by qualified operation, such as ``aten::convolution``.

    Raises:
        CheckError: If an operation is neither counted nor on the free list of ``cost/free.py``.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False, custom_mapping=_formulas()) as mode:
        FvcoreCounter(module).run(shape)  # refuses what is not counted
    flops = mode.get_flop_counts().get("Global", {})
    return Counter({str(op).replace(".", "::"): count // 2 for op, count in flops.items()})


def _formulas() -> dict[Any, Callable[..., int]]:
    """Formulas of what torch has none for, in place or not."""
    from torch.utils.flop_counter import flop_registry

    found = {}
    for name, rule in rules().items():
        for packet in filter(None, map(_packet, (name, f"{name}_"))):
            if packet not in flop_registry:
                found[packet] = _formula(packet, rule)
    return found


def _packet(name: str) -> Any:
    """The operation of that name, or None where torch has none."""
    namespace, operation = name.split("::")
    return getattr(getattr(torch.ops, namespace), operation, None)


def _formula(packet: Any, rule: Rule) -> Callable[..., int]:
    overload = getattr(packet, packet.overloads()[0])

    def flops(*arguments: Any, out_val: Any = None, **keywords: Any) -> int:
        call = Call(overload, arguments, keywords, out_val)
        return 2 * rule(call.inputs, call.outputs)

    flops._get_raw = True  # type: ignore[attr-defined]
    return flops
