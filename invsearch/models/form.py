"""Forms: how a part of a network is made up, as layers to count and as a module to run.

A part is a stem, a head or a block. A form knows which channels go where, lists the layers (from
which every cost follows) and builds the module (which every cost is checked against).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from invsearch.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import nn

    from invsearch.models.network import BlockSpec, Part, StageSpec

__all__ = ["BlockForm", "Form", "LayerSpec", "add_form", "block_form", "form"]


@dataclass(frozen=True)
class LayerSpec:
    """A layer with the batch norm and the activation that follow it; what it costs depends on this.

    Attributes:
        name: Within its part, such as ``conv1``; unique there.
        kind: ``convolution`` and ``operator`` have a batch norm; an ``operator`` keeps its
            channels; an ``add`` is the end of a residual block; ``max_pool`` is 3x3.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        size: (height, width) of the input.
        kernel_size: Of a convolution.
        stride: From input to output.
        activation: Whether an activation follows: a module with one operation an element.
        block: Which operator.
    """

    name: str
    kind: Literal[
        "convolution",
        "operator",
        "max_pool",
        "add",
        "global_average_pool",
        "global_max_pool",
        "linear",
    ]
    in_channels: int
    out_channels: int
    size: tuple[int, int]
    kernel_size: int = 1
    stride: int = 1
    activation: bool = True
    block: BlockSpec | None = None

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the output."""
        if self.kind in ("global_average_pool", "global_max_pool", "linear"):
            return 1, 1
        height, width = self.size
        return -(-height // self.stride), -(-width // self.stride)


class Form(ABC):
    """How parts of one kind are made up.

    Attributes:
        name: The kind.
    """

    name: str

    @abstractmethod
    def layers(self, part: Part) -> Iterator[LayerSpec]:
        """The layers of a part, in the order of the forward pass."""

    @abstractmethod
    def build(self, part: Part) -> nn.Module:
        """Build a part: (B, in_channels, H, W) -> what follows it takes.

        Raises:
            InputError: If an operator cannot have its width.
        """

    @abstractmethod
    def modules(self, part: Part, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """What each of the :meth:`layers` runs in a built part, by its name; of an ``add`` what
        comes after the sum."""


class BlockForm(Form):
    """The form of the blocks of a stage."""

    @abstractmethod
    def out_channels(self, stage: StageSpec) -> int:
        """Channels that come out of each block of a stage."""

    @abstractmethod
    def inner_channels(self, stage: StageSpec, in_channels: int) -> int:
        """Channels that the operator of a block sees, behind an input of ``in_channels``."""


def add_form(added: Form) -> None:
    """Make a form known by its name.

    Raises:
        ValueError: If another form has the name.
    """
    if _FORMS.setdefault(added.name, added) is not added:
        raise ValueError(f"another form is called {added.name!r} already")


def form(name: str) -> Form:
    """The form of this name, a third party's family loaded if need be.

    Raises:
        InputError: If there is none.
    """
    if name not in _FORMS:
        # Families are made of forms, so this cannot be at the top; it loads those of third parties.
        from invsearch.models.families import FAMILIES

        list(FAMILIES)
    if name not in _FORMS:
        raise InputError(
            f"no family has parts of the form {name!r}{nearest(name, _FORMS)}: "
            f"there are {', '.join(_FORMS)}; install the package that has it"
        )
    return _FORMS[name]


@cache  # one for each form; looked up for every stage that is counted
def block_form(name: str) -> BlockForm:
    """The same for the blocks of a stage.

    Raises:
        InputError: If there is none, or it is not one of blocks.
    """
    found = form(name)
    if not isinstance(found, BlockForm):
        raise InputError(f"the form {name!r} is not one of blocks")
    return found


_FORMS: dict[str, Form] = {}
