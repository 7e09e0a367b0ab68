"""Torch's `FlopCounterMode` counts registered operators like its own, for whoever imports `ops`.

Its registry is of a module that imports Triton where that is installed, which would slow down
`import ops`. So formulas are handed over as soon as somebody imports that module, before or after.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

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
    if _COUNTER in sys.modules:
        _hand_over(importlib.import_module(_COUNTER))
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


class _AfterImport(MetaPathFinder):
    """Finds torch's counter where everybody else does, and hands the formulas over once it ran."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname == _COUNTER else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(self, spec.loader)
        return spec


class _Loader(Loader):
    """A module's own loader, which it has again when it ran and the formulas are handed over."""

    def __init__(self, finder: _AfterImport, own: Loader) -> None:
        self._finder, self._own = finder, own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._own.exec_module(module)
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        with suppress(ValueError):
            sys.meta_path.remove(self._finder)
        _hand_over(module)


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
