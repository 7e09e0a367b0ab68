"""ModuleSpec: a network that a user's own function builds, or timm's, as plain data."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from invsearch.errors import InputError, InvsearchError
from invsearch.models.replacement import Replacement, put_in_place
from invsearch.user_code.failure import describe_failure
from invsearch.user_code.importing import import_function

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = ["SCALE", "TIMM", "ModuleSpec", "build_module", "build_shapes", "builder_of"]
__all__ += ["taken_keywords"]

TIMM = "timm:"
"""What stands before the name of a network of timm in :attr:`ModuleSpec.builder`."""

SCALE = ("width", "stem_stride", "pool")
"""Settings of a proxy that a builder may take by these names."""

_ENDS = ("num_classes", "in_channels")


@dataclass(frozen=True)
class ModuleSpec:
    """A network of somebody else's, from which it is built.

    Attributes:
        builder: ``package.module:function``, or ``timm:`` and a name that ``timm.create_model``
            knows.
        parameters: What it is called with, in order.
        replace: Which convolutions make room for a registered operator; the first that matches one
            decides.
        num_classes: Classes, given to a builder that takes them.
        in_channels: Channels of the images, likewise.
        scale: Of a proxy, what the builder takes of :data:`SCALE`.
        search_paths: Folders in which the builder's module is looked for first.
    """

    builder: str
    parameters: tuple[tuple[str, Value], ...] = ()
    replace: tuple[Replacement, ...] = ()
    num_classes: int = 1000
    in_channels: int = 3
    scale: tuple[tuple[str, Value], ...] = ()
    search_paths: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def timm_name(self) -> str:
        """The name of timm's network; empty for a builder of the user's."""
        return self.builder.removeprefix(TIMM) if self.builder.startswith(TIMM) else ""

    @property
    def module_name(self) -> str:
        """The module that the builder is in; empty for timm's."""
        return "" if self.timm_name else self.builder.partition(":")[0]

    def at(self, *search_paths: str | Path) -> ModuleSpec:
        """The same, with its module looked for in these folders."""
        return replace(self, search_paths=tuple(map(str, search_paths)))

    def proxy(
        self, settings: Mapping[str, Value], *, num_classes: int, in_channels: int
    ) -> ModuleSpec:
        """The network that is trained in its place: scaled by what the builder takes.

        Args:
            settings: Of :data:`SCALE`.
            num_classes: Classes of the training data.
            in_channels: Channels of the training images.
        """
        taken = taken_keywords(self)
        scale = tuple((name, value) for name, value in settings.items() if name in taken)
        return replace(self, scale=scale, num_classes=num_classes, in_channels=in_channels)

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON-able data, without the folders."""
        return {
            "builder": self.builder,
            "parameters": dict(self.parameters),
            "replace": [one.to_json() for one in self.replace],
            "num_classes": self.num_classes,
            "in_channels": self.in_channels,
            "scale": dict(self.scale),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModuleSpec:
        """The inverse of :meth:`to_json`, also after a trip through JSON text."""
        return cls(
            data["builder"],
            tuple(data["parameters"].items()),
            tuple(map(Replacement.from_json, data["replace"])),
            data["num_classes"],
            data["in_channels"],
            tuple(data["scale"].items()),
        )


def taken_keywords(spec: ModuleSpec) -> frozenset[str]:
    """What a builder takes by name beside its parameters: the ends, and settings of a proxy.

    Raises:
        InputError: If there is no such function, or it cannot be called with the parameters.
    """
    if spec.timm_name:
        return frozenset(_ENDS)
    function = builder_of(spec)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C
        return frozenset()
    named = frozenset(
        name
        for name, one in signature.parameters.items()
        if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)
    )
    taken = named & {*_ENDS, *SCALE}
    try:
        signature.bind({}, **dict.fromkeys(taken))
    except TypeError:
        raise InputError(
            f"{spec.builder!r} takes {signature}: a builder is called with the parameters, and by "
            f"name with what it takes of {', '.join((*_ENDS, *SCALE))}"
        ) from None
    return taken


def build_module(spec: ModuleSpec) -> nn.Module:
    """Build the network, freshly initialised, its convolutions replaced.

    Raises:
        InputError: If the builder cannot be imported, raises (the line says where) or returns no
            module, or a replacement is impossible.
    """
    try:
        module = _built(spec)
    except InvsearchError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"builder {spec.builder!r}: {_failure(error)}") from error
    if not isinstance(module, nn.Module):
        kind = type(module).__name__
        raise InputError(f"builder {spec.builder!r} returned {kind}, not a torch.nn.Module")
    return put_in_place(module, spec.replace)


def build_shapes(spec: ModuleSpec) -> nn.Module:
    """Build the network for its shapes alone: on the meta device, where the builder allows it.

    Raises:
        InputError: As :func:`build_module`.
    """
    try:
        with torch.device("meta"):
            return build_module(spec)
    except Exception:  # such as a builder that reads a value out of a tensor
        with torch.random.fork_rng(devices=[]):
            return build_module(spec)


def _built(spec: ModuleSpec) -> Any:
    if spec.timm_name:
        from invsearch.models.timm_models import create

        return create(spec.timm_name, spec.num_classes, spec.in_channels, dict(spec.parameters))
    known = {"num_classes": spec.num_classes, "in_channels": spec.in_channels, **dict(spec.scale)}
    taken = taken_keywords(spec)
    keywords = {name: value for name, value in known.items() if name in taken}
    return builder_of(spec)(dict(spec.parameters), **keywords)


def builder_of(spec: ModuleSpec) -> Callable[..., Any]:
    """Import the user's function.

    Raises:
        InputError: If there is none, or its module cannot be imported.
    """
    return import_function(spec.builder, spec.search_paths)


def _failure(error: BaseException) -> str:
    """What was raised, and in which line of somebody's file."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _ours(frame.filename)]
    where = f" (from {Path(own[0].filename).name}:{own[0].lineno})" if own else ""
    return f"{describe_failure(error)}{where}"


def _ours(file: str) -> bool:
    return Path(file).is_relative_to(Path(__file__).parents[1])
