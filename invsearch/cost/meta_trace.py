"""fvcore's convention without computing: for networks too large to trace on real tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import flop_registry

from invsearch.cost.free import is_free
from invsearch.cost.observe import on_meta
from invsearch.cost.trace import refuse, trace_handles

__all__ = ["meta_macs"]

_PER_OUTPUT = {
    "aten::upsample_nearest2d": 1,
    "aten::upsample_bilinear2d": 4,
}
"""fvcore's handles of interpolations: multiply-adds an output element."""

_NORMS = frozenset(
    f"aten::{name}"
    for name in (
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
    )
)


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
    counter = _Counter()
    with _Pools() as pools:
        on_meta(module, shape, see=counter.see)
    if counter.unknown:
        refuse((name, "") for name in dict.fromkeys(counter.unknown))
    total: int = counter.total + pools.total
    return total


class _Counter:
    def __init__(self) -> None:
        self.total = 0
        self.unknown: list[str] = []
        self._handles = trace_handles()

    def see(self, operation: Any, args: Sequence[Any], output: Any) -> None:
        name: str = operation._schema.name
        if name in _PER_OUTPUT:
            self.total += _PER_OUTPUT[name] * output.numel()
        elif name in _NORMS:
            self.total += (1 if args[1] is None else 2) * args[0].numel()
        elif name in self._handles:
            outputs = [output] if isinstance(output, Tensor) else list(output)
            inputs = [tuple(a.shape) if isinstance(a, Tensor) else None for a in args]
            self.total += self._handles[name](inputs, [tuple(y.shape) for y in outputs])
        elif operation._overloadpacket in flop_registry:
            self.total += flop_registry[operation._overloadpacket](*args, out_val=output) // 2
        elif not is_free(name):
            self.unknown.append(name)


class _Pools(TorchFunctionMode):
    """Counts adaptive average pooling where it is called: to one pixel it runs as a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") == "adaptive_avg_pool2d":
            self.total += args[0].numel()
        return func(*args, **(kwargs or {}))
