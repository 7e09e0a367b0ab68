"""Watch a module's operations as they run: counting and memory build on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Observer", "evaluating", "meta_state", "on_meta", "run_on_meta"]

See = Callable[[Any, Sequence[Any], Any], None]


class Observer(TorchDispatchMode):
    """Calls ``see(operation, arguments, output)`` after each torch operation, while active."""

    see: See

    @classmethod
    def of(cls, see: See) -> Observer:
        observer = cls()
        observer.see = see
        return observer

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        self.see(func, args, output)
        return output


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode, without gradients, and restore every part's own mode."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


def meta_state(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers as meta tensors, by name; the module is not moved.

    A part that is there under several names has one of them here, and a tensor that several parts
    share is one meta tensor.
    """
    known: dict[int, Tensor] = {}
    state = {}
    for prefix, part in module.named_modules():
        own = {**part._parameters, **part._buffers}
        for name, value in own.items():
            if value is not None:
                shared = known.setdefault(id(value), value.detach().to("meta"))
                state[f"{prefix}.{name}" if prefix else name] = shared
    return state


def run_on_meta(module: nn.Module, state: dict[str, Tensor], image: Tensor) -> None:
    """Run a module with a :func:`meta_state` in place of its own tensors, which are put back.

    Torch must not look for further names of a tensor: a part with two would get its meta tensor
    put back as its own.
    """
    torch.func.functional_call(module, state, (image,), tie_weights=False)


def on_meta(
    module: nn.Module,
    shape: Sequence[int],
    *,
    see: See | None = None,
) -> None:
    """Run a module's forward in eval mode on a meta image of ``shape``: shapes only.

    Args:
        module: Any module that takes one image tensor.
        shape: Input shape (B, C, H, W).
        see: Called after each operation, as by :class:`Observer`.
    """
    image, state = torch.empty(tuple(shape), device="meta"), meta_state(module)
    with evaluating(module), Observer.of(see) if see else nullcontext():
        run_on_meta(module, state, image)
