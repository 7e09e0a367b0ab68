"""What counting does with an operation that costs something and that nothing counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from invsearch.errors import CheckError

__all__ = ["refuse", "refuse_meta", "refuse_untraceable", "refuse_unwatchable"]


def refuse(unknown: Iterable[tuple[str, str]]) -> None:
    """Raise the CheckError for ``(operation, module name)`` pairs that nothing counts."""
    found = "; ".join(f"{op} in {module or 'the model'}" for op, module in unknown)
    raise CheckError(
        f"counting failed, nothing counts {found}: register the operator with its closed form and "
        "trace_handles, or write it with operations that are counted"
    )


def refuse_meta(operation: str, module: str, error: Exception) -> None:
    """Raise the CheckError for an operation that torch cannot run on shapes alone."""
    raise CheckError(
        f"counting failed, {operation} in {module or 'the model'} has no kernel for torch's meta "
        "device: give it one by torch.library.register_fake"
    ) from error


def refuse_unwatchable(module: nn.Module) -> None:
    """Raise a CheckError if a part is scripted, which nobody can watch, or lazy.

    A lazy part that runs is no longer lazy, and counting leaves a module as it was.
    """
    for name, part in module.named_modules():
        where = name or "the model"
        if isinstance(part, torch.jit.ScriptModule):
            raise CheckError(
                f"counting failed, {where} is scripted (TorchScript) and cannot be watched: count "
                "the module that it was made from"
            )
        if any(is_lazy(weight) for weight in _own(part)):
            raise CheckError(
                f"counting failed, {where} is lazy and has no weights yet: run it once first"
            )


def refuse_untraceable(module: nn.Module) -> None:
    """Raise a CheckError if a part has weights without values, or such as are no tensors."""
    for name, part in module.named_modules():
        if any(weight.is_meta for weight in _own(part)):
            raise CheckError(
                f"counting failed, the weights of {name or 'the model'} are on the meta device and "
                "have no values to trace: count it by invsearch.cost.meta_macs"
            )
    for key, value in module.state_dict().items():
        if not isinstance(value, Tensor):
            raise CheckError(
                f"counting failed, {key} is a {type(value).__name__} and no tensor, as quantised "
                "weights are: count the module before it is quantised"
            )


def _own(part: nn.Module) -> Iterator[Tensor]:
    yield from part.parameters(recurse=False)
    yield from part.buffers(recurse=False)
