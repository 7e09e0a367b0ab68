"""fvcore's convention without computing: for networks too large to trace on real tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from invsearch.cost.counter import Counter
from invsearch.cost.elements import FVCORE
from invsearch.cost.observe import Call, elements

__all__ = ["FvcoreCounter", "meta_macs"]


def meta_macs(module: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of one forward pass as :func:`invsearch.cost.trace_macs` counts them.

    The module runs on the meta device, in eval mode: only shapes are computed, so the size of the
    image costs neither time nor memory. It may itself have been built there.

    Args:
        module: Any module that takes one image tensor.
        shape: Input shape (B, C, H, W).

    Returns:
        The number of multiply-adds.

    Raises:
        CheckError: If an operation is neither counted nor on the free list of ``cost/free.py``.
    """
    return FvcoreCounter(module).run(shape)


class FvcoreCounter(Counter):
    """Counts in the convention ``fvcore``."""

    def element(self, call: Call, name: str) -> int | None:
        return FVCORE[name](call.inputs, call.outputs) if name in FVCORE else None

    def function(
        self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], output: Any
    ) -> int:
        """Adaptive average pooling: to one pixel torch runs it as a mean."""
        image: Any = arguments[0] if arguments else keywords.get("input")
        area = name == "interpolate" and keywords.get("mode") == "area" and image.dim() == 4
        return elements(image) if area or name == "adaptive_avg_pool2d" else 0
