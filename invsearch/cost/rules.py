"""The rules of all operations that are counted: torch's products and the registered operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import ops
from invsearch.cost.products import PRODUCTS, Rule, Shape
from ops.registry import Handle

__all__ = ["rules", "trace_handles"]


def rules() -> Mapping[str, Rule]:
    """Multiply-adds by qualified operation; a registered operator's handle comes first."""
    return {**PRODUCTS, **{name: _rule(handle) for name, handle in trace_handles().items()}}


def trace_handles() -> Mapping[str, Handle]:
    """Handles of the custom operations of every operator that can be loaded."""
    handles: dict[str, Handle] = {}
    for name in ops.names():
        with suppress(ImportError):  # a broken plugin is reported when it is asked for
            handles.update(ops.get(name).trace_handles)
    return handles


def _rule(handle: Handle) -> Rule:
    def macs(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
        shapes = [value if isinstance(value, tuple) else None for value in inputs]
        return handle(shapes, outputs)

    return macs
