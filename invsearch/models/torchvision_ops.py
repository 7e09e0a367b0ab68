"""torchvision as it is installed: whether its operators are here, and made whole for who needs not.

Its wheel for another build of torch has no operators of its own and fails, as it is imported, on
describing them to torch.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from typing import Any

import torch

__all__ = ["complete_torchvision", "has_torchvision_ops"]

_MISSING = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Operators that torchvision describes as it is imported, whether it has them or not."""

_library: list[Any] = []  # a torch.library.Library takes its operators with it when it goes


@cache
def has_torchvision_ops() -> bool:
    """Whether torchvision is installed, and built for this torch."""
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        from torchvision.extension import _has_ops
    except (ImportError, RuntimeError, AttributeError):
        _forget()
        return False
    return bool(_has_ops())


def complete_torchvision() -> None:
    """Make ``import torchvision`` work where it is built for another torch.

    The operators that it describes are defined, without an implementation, for those who import it
    and call none of them. Nothing is done where it works, or is not installed.
    """
    if _library or importlib.util.find_spec("torchvision") is None or has_torchvision_ops():
        return
    if "torchvision" in sys.modules:  # somebody else made it whole
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    _library.append(library)
    for schema in _MISSING:
        name = f"torchvision::{schema.partition('(')[0]}"
        try:
            torch._C._dispatch_has_kernel_for_dispatch_key(name, "Meta")
        except RuntimeError:  # not there
            library.define(schema)


def _forget() -> None:
    """Forget what an import that failed half-way left."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[module]
