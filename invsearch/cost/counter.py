"""Count a module's calls as they run on the meta device: the base of all counters but the trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import flop_registry

from invsearch.cost.free import in_place_of, is_free
from invsearch.cost.observe import Call, Observer, on_meta, operation_name
from invsearch.cost.refusal import refuse, refuse_meta, refuse_unwatchable
from invsearch.cost.rules import rules

__all__ = ["Counter"]

_REFUSED = {"linalg_vecdot": "aten::linalg_vecdot"}
"""Products that torch runs as an elementwise one and a sum, by the function that is called."""


class Counter:
    """Adds up what the calls of one forward pass cost; a convention says what is counted.

    Attributes:
        total: Multiply-adds so far.
        parts: The same by the name of the innermost part that they ran in.
    """

    def __init__(self, module: nn.Module) -> None:
        self.total = 0
        self.parts: defaultdict[str, int] = defaultdict(int)
        self._module = module
        self._rules = rules()
        self._path: list[str] = []
        self._unknown: dict[tuple[str, str], None] = {}

    def run(self, shape: Sequence[int]) -> int:
        """Count a forward pass on an image of ``shape``.

        Raises:
            CheckError: If something that costs is not counted; names it and the part it is in.
        """
        refuse_unwatchable(self._module)  # before hooks are put there, which it does not take
        observer = Observer.of(self._see, self._where)
        with ExitStack() as watching:
            for name, part in self._module.named_modules():
                self._watch(name, part, watching)
            watching.enter_context(_Functions(self._see_function))
            try:
                on_meta(self._module, shape, observer=observer)
            except NotImplementedError as error:
                if observer.running is None:
                    raise
                refuse_meta(operation_name(observer.running), observer.place, error)
        if self._unknown:
            refuse(self._unknown)
        return self.total

    def enter(self, name: str, part: nn.Module) -> None:
        """What a convention does before a part runs."""

    def leave(self, name: str, part: nn.Module) -> None:
        """What a convention does after a part ran."""

    def ignores(self) -> bool:
        """Whether the part that is running is not to be counted."""
        return False

    def element(self, call: Call, name: str) -> int | None:
        """What a call costs that is no product, or None where the convention has no rule."""
        raise NotImplementedError

    def function(
        self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], output: Any
    ) -> int:
        """What the convention counts where a function is called, before torch takes it apart."""
        raise NotImplementedError

    def _watch(self, name: str, part: nn.Module, watching: ExitStack) -> None:
        def before(part: nn.Module, inputs: Any) -> None:
            self._path.append(name)
            self.enter(name, part)

        def after(part: nn.Module, inputs: Any, output: Any) -> None:
            self._path.pop()
            self.leave(name, part)

        watching.callback(part.register_forward_pre_hook(before).remove)
        # also where it raises, and whoever called it goes on
        watching.callback(part.register_forward_hook(after, always_call=True).remove)

    def _where(self) -> str:
        return self._path[-1] if self._path else ""

    def _see(self, call: Call) -> None:
        if self.ignores():
            return
        name = in_place_of(call.name)
        element = self.element(call, name)
        if element is not None:
            self._add(element)
        elif name in self._rules:
            self._add(self._rules[name](call.inputs, call.outputs))
        elif (packet := getattr(call.operation, "_overloadpacket", None)) in flop_registry:
            formula = flop_registry[packet]
            self._add(formula(*call.arguments, **call.keywords, out_val=call.output) // 2)
        elif not is_free(name) and not _moves_alone(call):
            self._unknown[call.name, self._where()] = None

    def _see_function(self, name: str, arguments: Any, keywords: Any, output: Any) -> None:
        if self.ignores():
            return
        if name in _REFUSED:
            self._unknown[_REFUSED[name], self._where()] = None
        self._add(self.function(name, arguments, keywords, output))

    def _add(self, macs: int) -> None:
        self.total += macs
        if macs:
            self.parts[self._where()] += macs


def _moves_alone(call: Call) -> bool:
    """Whether it lays a tensor out anew in place, as torch's own pooling does to its result.

    A gathering of windows, which must not be free, shows elements several times.
    """
    if call.name != "aten::as_strided_":
        return False
    tensor = call.output
    return bool(tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes())


class _Functions(TorchFunctionMode):
    """Calls ``see(name, arguments, keywords, output)`` after each function of torch."""

    def __init__(self, see: Any) -> None:
        super().__init__()
        self._see = see

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        self._see(getattr(func, "__name__", ""), args, kwargs or {}, output)
        return output
