"""Slices: which part of a shared tensor each weight of a network is.

Networks of a space share weights place by place. A narrower layer takes the leading channels of a
wider one, a smaller window the centre of a larger one, also in what generates an involution's
kernel; a deeper stage has further blocks. What cannot be a part of another has a tensor of its own:
each operator (with the batch norm behind it), each number of group channels where groups are
counted, each kind of stem, and an operator of a third party with every one of its settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

import ops
from invsearch.models import Part
from ops.involution.generators import AttentionGenerator, BottleneckGenerator, LinearGenerator

__all__ = ["Slice", "is_foreign", "slices"]

_SLICED = frozenset({"kernel_size", "reduction", "group_channels", "head_channels"})
_NORM_BEHIND = "bn2"  # of every form of blocks: it sees what the operator makes


@dataclass(frozen=True)
class Slice:
    """A weight of a part as a part of a shared tensor.

    Attributes:
        name: The weight's, within its part.
        key: The shared tensor's, within the place; dots nest.
        shape: The weight's as it is cut out; that of a span has an axis for each of its meanings.
        actual: The weight's as the part has it.
        centred: The axes of ``shape`` of which it is the centre; of the others it is the beginning.
        norm: Whether it is a batch norm's.
    """

    name: str
    key: str
    shape: tuple[int, ...]
    actual: tuple[int, ...]
    centred: frozenset[int] = frozenset()
    norm: bool = False

    def cut(self, shared: Tensor) -> Tensor:
        """The weight, a view of the shared tensor's numbers where it can be one."""
        for axis, size in enumerate(self.shape):
            start = (shared.shape[axis] - size) // 2 if axis in self.centred else 0
            shared = shared.narrow(axis, start, size)
        return shared if self.shape == self.actual else shared.reshape(self.actual)

    def within(self, shape: tuple[int, ...]) -> bool:
        """Whether a shared tensor of this shape has it."""
        return all(own <= most for own, most in zip(self.shape, shape, strict=True))


def is_foreign(module: nn.Module) -> bool:
    """Whether a part's operator is one whose weights we know nothing of."""
    operator = getattr(module, "operator", None)
    return operator is not None and not isinstance(operator, nn.Conv2d | ops.Involution2d)


def slices(part: Part, module: nn.Module) -> Iterator[Slice]:
    """The weights of a part, built.

    Args:
        part: A stem, a block or a head.
        module: What its form builds, on any device.
    """
    owners = dict(module.named_modules())
    for name, weight in module.named_parameters():
        owner, _, kind = name.rpartition(".")
        key = _key(part, module, name)
        yield _slice(name, key, weight, owners, owner, kind)


def _slice(
    name: str, key: str, weight: Tensor, owners: dict[str, nn.Module], owner: str, kind: str
) -> Slice:
    actual, holder = tuple(weight.shape), owners[owner]
    above = owners[owner.rpartition(".")[0]]
    if isinstance(above, BottleneckGenerator | LinearGenerator) and owner.endswith("span"):
        size, groups = above.kernel_size, above.groups
        shape = (groups, size, size, *actual[1:])
        return Slice(name, key, shape, actual, frozenset({1, 2}))
    if isinstance(holder, AttentionGenerator) and kind == "position":
        return Slice(name, key, actual, actual, frozenset({1, 2}))
    if isinstance(holder, nn.Conv2d) and kind == "weight":
        return Slice(name, key, actual, actual, frozenset({2, 3}))
    return Slice(name, key, actual, actual, norm=isinstance(holder, nn.BatchNorm2d))


def _key(part: Part, module: nn.Module, name: str) -> str:
    if part.stem is not None:
        return f"{part.stem.kind}.{_with_groups(module, name)}"
    if part.block is None:
        return name
    first = name.partition(".")[0]
    if first not in ("operator", _NORM_BEHIND):
        return f"{part.kind}.{name}"
    settings, own = part.block.hyperparameters, _with_groups(module, name)
    whole = is_foreign(module)
    kept = [f"{key}={value}" for key, value in settings if whole or key not in _SLICED]
    kept += [f"channels={part.inner_channels}"] if whole else []
    operator = f"{part.block.operator}({','.join(kept)})"
    return f"{part.kind}.{operator.replace('.', '_')}.{own}"  # a dot would nest


def _with_groups(module: nn.Module, name: str) -> str:
    """The name, with the channels of a group where it is a weight of each group."""
    if not name.endswith(("span.weight", "span.bias", "position")):
        return name
    owner, _, rest = name.partition(".generator.")
    operator = module.get_submodule(owner)
    assert isinstance(operator, ops.Involution2d)
    return f"{owner}.generator.groups_of_{operator.group_channels}.{rest}"
