"""How torch's DTensor shards the operations of involution: whole, or by image."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from ops.after_import import after_import

__all__ = ["publish_shardings"]

_WEIGHTS = ("weight", "bias", "reduce", "mean", "variance", "gain", "offset")
"""Arguments that all images share; every other tensor has the images in front."""


def publish_shardings() -> None:
    """Have DTensor run the operations, once somebody imports `torch.distributed.tensor`."""
    after_import("torch.distributed.tensor", _register)


def _register(_: ModuleType) -> None:
    from torch.distributed.tensor.experimental import register_sharding

    for name in ("aggregate", "grad_input", "grad_kernel", "fused", "fused_backward", "bottleneck"):
        operation = getattr(torch.ops.involution, name).default
        register_sharding(operation)(_strategy(operation._schema))


def _strategy(schema: Any) -> Any:
    """In the form that `register_sharding` asks for: pairs of outputs' and inputs' placements."""
    from torch.distributed.tensor import Partial, Replicate, Shard

    outputs = len(schema.returns)
    # the second two are gradients of weights, which each shard of the images has a term of
    by_image = [Shard(0), Shard(0), Partial(), Partial()][:outputs]

    def strategy(*arguments: Any, **_: Any) -> list[tuple[list[Any], list[Any]]]:
        names = [
            argument.name if "Tensor" in str(argument.type) and value is not None else None
            for argument, value in zip(schema.arguments, arguments, strict=False)
        ]
        whole = [name and Replicate() for name in names]
        split = [name and (Replicate() if name in _WEIGHTS else Shard(0)) for name in names]
        return [([Replicate()] * outputs, whole), (by_image, split)]

    return strategy
