"""Torch's `FlopCounterMode` counts registered operators like its own, for whoever imports `ops`.

Its registry is of a module that imports Triton where that is installed, which would slow down
`import ops`. So formulas are handed over as soon as somebody imports that module, before or after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ops.after_import import after_import

__all__ = ["Handle", "Shape", "publish"]

_COUNTER = "torch.utils.flop_counter"
_FLOPS_A_MAC = 2

Shape = tuple[int, ...]
Handle = Callable[[Sequence[Shape | None], Sequence[Shape]], int]
"""Multiply-adds of one call, from the shapes of its inputs (None: no tensor) and outputs."""

_HANDLES: dict[str, Handle] = {}


def publish(handles: Mapping[str, Handle]) -> None:
    """Has `FlopCounterMode` count operations by these handles, two flops a multiply-add.

    Args:
        handles: By qualified name of operations in `torch.library`, such as
            `involution::aggregate`; the last one of a name counts, and those that do not exist are
            left out.
    """
    _HANDLES.update(handles)
    after_import(_COUNTER, _hand_over)


def _hand_over(counter: ModuleType) -> None:
    for name in _HANDLES:
        namespace, _, operation = name.partition("::")
        packet = getattr(getattr(torch.ops, namespace), operation, None)
        if packet is not None and packet not in counter.flop_registry:
            counter.register_flop_formula(packet, get_raw=True)(_formula(name))


def _formula(name: str) -> Callable[..., int]:
    """In the form of torch's registry; looks its handle up late, for it may be replaced."""

    def flops(*arguments: Any, out_val: Any = None, **_: Any) -> int:
        inputs = [tuple(a.shape) if isinstance(a, Tensor) else None for a in arguments]
        outputs = [tuple(y.shape) for y in tree_leaves(out_val) if isinstance(y, Tensor)]
        return _FLOPS_A_MAC * _HANDLES[name](inputs, outputs)

    return flops
