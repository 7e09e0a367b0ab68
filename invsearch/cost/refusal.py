"""What counting does with an operation that costs something and that nothing counts."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from invsearch.errors import CheckError

__all__ = ["refuse", "refuse_meta", "refuse_scripted"]


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


def refuse_scripted(module: nn.Module) -> None:
    """Raise a CheckError if a part of a module is scripted: nobody can watch what it does."""
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise CheckError(
                f"counting failed, {name or 'the model'} is scripted (TorchScript) and cannot be "
                "watched: count the module that it was made from"
            )
