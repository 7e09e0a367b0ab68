"""Watch a module's operations as they run: counting and memory build on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = [
    "Call",
    "Observer",
    "elements",
    "evaluating",
    "image_for",
    "meta_state",
    "on_meta",
    "operation_name",
    "run_on_meta",
    "unwrapped",
]

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_COMPOSITE = "CompositeImplicitAutograd"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a torch operation, after it ran."""

    operation: Any
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    output: Any

    @property
    def name(self) -> str:
        """Qualified, such as ``aten::mm``."""
        return operation_name(self.operation)

    @property
    def inputs(self) -> list[Any]:
        """Every argument of the schema in order, a tensor as its shape (a tuple)."""
        given = dict(enumerate(self.arguments))
        return [
            _shape_of(given.get(place, self.keywords.get(argument.name, argument.default_value)))
            for place, argument in enumerate(self.operation._schema.arguments)
        ]

    @property
    def outputs(self) -> list[tuple[int, ...]]:
        """The shapes of all tensors that it returned."""
        leaves = tree_leaves(self.output)
        return [tuple(leaf.shape) for leaf in leaves if isinstance(leaf, Tensor)]


See = Callable[[Call], None]


def operation_name(operation: Any) -> str:
    """Qualified name of an overload; of what has no schema (``torch.cond``) its own."""
    schema = getattr(operation, "_schema", None)
    return str(operation) if schema is None else str(schema.name)


def elements(tensor: Tensor) -> int:
    """How many numbers a tensor has; within ``vmap``, those of all that it stands for."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor.numel()


class Observer(TorchDispatchMode):
    """Calls ``see`` after each torch operation, while active.

    Attributes:
        running: The operation that is running, or that failed.
        place: In which part, as ``where`` says.
    """

    supports_higher_order_operators = True

    see: See
    where: Callable[[], str] = str
    running: Any = None
    place: str = ""

    @classmethod
    def of(cls, see: See, where: Callable[[], str] = str) -> Observer:
        observer = cls()
        observer.see, observer.where = see, where
        return observer

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if _is_composite(func):
            # only within inference mode do they come here whole, else torch takes them apart first
            with self:
                return func.decompose(*args, **kwargs)
        self.running, self.place = func, self.where()
        try:
            output = func(*args, **kwargs)
        except RuntimeError:
            if not _is_mixed((args, kwargs)):
                raise
            # a tensor that is neither parameter nor buffer is still where it was made
            args, kwargs = tree_map(_to_meta, (args, kwargs))
            output = func(*args, **kwargs)
        self.running = None
        self.see(Call(func, args, kwargs, output))
        return output


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into the state that is counted, and restore every part's own mode.

    That is eval mode, without gradients and without torch's fused path of attention layers, whose
    operations cost what those do that it stands for. An embedding reads a floating-point image as
    indices.
    """
    modes = [(part, part.training) for part in module.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as restored:
        restored.callback(torch.backends.mha.set_fastpath_enabled, fast)
        for part, _ in modes:
            if isinstance(part, nn.Embedding | nn.EmbeddingBag):
                restored.callback(part.register_forward_pre_hook(_as_indices).remove)
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            module.eval()
            with torch.no_grad():
                yield
        finally:
            for part, training in modes:
                part.training = training


def unwrapped(module: nn.Module) -> nn.Module:
    """The module in a wrapper for several devices or processes, which adds nothing to its cost."""
    inside: nn.Module = module.module if isinstance(module, _WRAPPERS) else module
    return inside


def image_for(
    module: nn.Module, shape: Sequence[int], device: torch.device | str | None = None
) -> Tensor:
    """Zeros of the type of a module's first weights, so that half a precision is no obstacle.

    Args:
        module: What they are for; without floating-point weights they are of torch's default type.
        shape: (B, C, H, W), or whatever the module takes.
        device: Default: that of those weights.
    """
    weights = (w for w in (*module.parameters(), *module.buffers()) if w.is_floating_point())
    like = next(weights, torch.empty(0))
    return torch.zeros(tuple(shape), dtype=like.dtype, device=device or like.device)


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
    observer: Observer | None = None,
) -> None:
    """Run a module's forward in eval mode on a meta image of ``shape``: shapes only.

    Args:
        module: Any module that takes one image tensor.
        shape: Input shape (B, C, H, W).
        observer: Sees each operation.
    """
    module = unwrapped(module)
    image, state = image_for(module, shape, "meta"), meta_state(module)
    with evaluating(module), observer or nullcontext():
        run_on_meta(module, state, image)


@functools.cache
def _is_composite(operation: Any) -> bool:
    if not isinstance(operation, torch._ops.OpOverload):
        return False
    has: bool = torch._C._dispatch_has_kernel_for_dispatch_key(operation.name(), _COMPOSITE)
    return has


def _is_mixed(arguments: Any) -> bool:
    """Whether some of the tensors are on the meta device, and some are not."""
    places = {leaf.is_meta for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor)}
    return len(places) > 1


def _to_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) and not value.is_meta else value


def _as_indices(part: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return (
        tuple(
            value.long() if isinstance(value, Tensor) and value.is_floating_point() else value
            for value in arguments[:1]
        )
        + arguments[1:]
    )


def _shape_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tuple(value.shape)
    return [_shape_of(one) for one in value] if isinstance(value, list | tuple) else value
