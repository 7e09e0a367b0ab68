"""The operator registry: what an operator is called, how it is built and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from ops.flops import Handle, Shape, publish
from ops.hyperparameter import Hyperparameter, Refusal, nearest_hint, positive_int
from ops.probe import probe

__all__ = [
    "Handle",
    "OpSpec",
    "Shape",
    "UnknownOperatorError",
    "get",
    "names",
    "output_pixels",
    "register",
]

ENTRY_POINT_GROUP = "invsearch.ops"

Convention = Literal["fvcore", "paper"]
Build = Callable[..., nn.Module]
Count = Callable[..., int]


class UnknownOperatorError(KeyError):
    """No operator is registered under the name that was asked for."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, eq=False)
class OpSpec:
    """A registered operator: how to build it, and its exact cost in closed form.

    The module it builds maps (B, C, H, W) to (B, C, ceil(H / stride), ceil(W / stride)).

    Attributes:
        name: The name in the registry and in space files.
        build: `build(channels, *, stride, **hyperparameters) -> nn.Module`.
        hyperparameters: The settings `build` takes, by name.
        backends: Names of the implementations that can run it, fastest first.
        trace_handles: Multiply-adds of each custom torch operator its forward pass calls, by
            qualified name such as `involution::aggregate`, for counters that work by tracing.
            Torch's `FlopCounterMode` has them too.
    """

    name: str
    build: Build
    hyperparameters: Mapping[str, Hyperparameter]
    fvcore_macs: Count = field(repr=False)
    paper_macs: Count = field(repr=False)
    count_params: Count = field(repr=False)
    check: Callable[[int, Mapping[str, Any]], str | None] | None = field(default=None, repr=False)
    backends: tuple[str, ...] = ("torch",)
    trace_handles: Mapping[str, Handle] = field(default_factory=dict, repr=False)

    def complete(self, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        """Fills in the defaults.

        Raises:
            ValueError: For a name this operator does not have.
        """
        for name in hyperparameters:
            if name not in self.hyperparameters:
                raise ValueError(self._unknown(name))
        return {
            name: hyperparameters.get(name, known.default)
            for name, known in self.hyperparameters.items()
        }

    def problem(self, channels: int | None, hyperparameters: Mapping[str, Any]) -> Refusal | None:
        """Says why these settings are impossible, or returns None.

        Args:
            channels: The width, or None to check the values alone.
            hyperparameters: Settings by name; those left out take their defaults.
        """
        for name, value in hyperparameters.items():
            if name not in self.hyperparameters:
                return Refusal(self._unknown(name), name)
            reason = self.hyperparameters[name].problem(value)
            if reason is not None:
                return self._refusal(name, f"{name} = {value!r} {reason}")
        if channels is None:
            return None
        reason = positive_int(channels)
        if reason is not None:
            return self._refusal(None, f"channels = {channels!r} {reason}")
        complete = self.complete(hyperparameters)
        for name, value in self._effective(complete).items():
            reason = self.hyperparameters[name].width_problem(channels, value)
            if reason is not None:
                return self._refusal(name, f"{name} = {value!r} {reason}")
        reason = self.check(channels, complete) if self.check else None
        return None if reason is None else self._refusal(None, reason)

    def fit(self, channels: int, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        """Makes settings valid for a width, changing as little as possible.

        Each hyperparameter that divides the channels becomes the largest valid divisor that is not
        above its value (where there is none, the smallest above it), and one that keeps channels is
        lowered until it does. Nothing else is changed: kernel sizes and choices stay.

        Args:
            channels: The width.
            hyperparameters: Settings by name; those left out take their defaults.

        Returns:
            Every setting of the operator, by name.

        Raises:
            ValueError: With the reason, if the operator cannot have this width with such settings.
        """
        complete = self.complete(hyperparameters)
        self.validate(None, complete)
        fitted = {
            name: self.hyperparameters[name].fit(channels, value)
            for name, value in complete.items()
        }
        self.validate(channels, fitted)
        return fitted

    def validate(self, channels: int | None, hyperparameters: Mapping[str, Any]) -> None:
        """Raises ValueError with what `problem` says."""
        reason = self.problem(channels, hyperparameters)
        if reason is not None:
            raise ValueError(reason)

    def make(self, channels: int, *, stride: int = 1, **hyperparameters: Any) -> nn.Module:
        """Validates the settings and builds the module.

        Raises:
            ValueError: For an unknown, invalid or impossible setting.
        """
        self.validate(channels, hyperparameters)
        if positive_int(stride) is not None:
            raise ValueError(f"{self.name}: stride = {stride!r} {positive_int(stride)}")
        return self.build(channels, stride=stride, **self.complete(hyperparameters))

    def macs(
        self,
        shape: Sequence[int],
        convention: Convention = "fvcore",
        *,
        stride: int = 1,
        **hyperparameters: Any,
    ) -> int:
        """Multiply-adds of one forward pass in eval mode.

        Args:
            shape: Input shape (B, C, H, W).
            convention: `fvcore` (what its trace counts) or `paper` (what the paper's tables count).
            stride: The operator's stride.
            **hyperparameters: Settings; those left out take their defaults.
        """
        if convention not in ("fvcore", "paper"):
            raise ValueError(f"convention must be 'fvcore' or 'paper', not {convention!r}")
        count = self.fvcore_macs if convention == "fvcore" else self.paper_macs
        return count(tuple(shape), stride=stride, **self.complete(hyperparameters))

    def params(self, channels: int, **hyperparameters: Any) -> int:
        """Number of trainable parameters at this width."""
        return self.count_params(channels, **self.complete(hyperparameters))

    def _effective(self, complete: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that do something beside the others."""
        return {
            name: value
            for name, value in complete.items()
            if all(
                complete.get(other) in wanted
                for other, wanted in self.hyperparameters[name].needs.items()
            )
        }

    def _refusal(self, setting: str | None, detail: str) -> Refusal:
        return Refusal(f"{self.name}: {detail}", setting, detail)

    def _unknown(self, name: str) -> str:
        nearest = nearest_hint(name, self.hyperparameters)
        known = ", ".join(self.hyperparameters) or "none"
        return f"{self.name} has no hyperparameter {name!r}{nearest}; it has: {known}"


def register(
    name: str,
    *,
    hyperparameters: Mapping[str, Hyperparameter | tuple[Any, ...]] | None = None,
    macs: Count,
    params: Count,
    paper_macs: Count | None = None,
    trace_handles: Mapping[str, Handle] | None = None,
    check: Callable[[int, Mapping[str, Any]], str | None] | None = None,
    backends: Sequence[str] = ("torch",),
) -> Callable[[Build], Build]:
    """Registers an operator; decorates the function or class that builds it.

    Args:
        name: Name in the registry and in space files.
        hyperparameters: Settings of the operator. A bare tuple means "one of these; the first is
            the default".
        macs: `macs(shape, *, stride, **hyperparameters) -> int` for an input of `shape`
            (B, C, H, W), in the convention `fvcore`.
        params: `params(channels, **hyperparameters) -> int`.
        paper_macs: The same as `macs` in the convention `paper`; default: `macs`.
        trace_handles: See `OpSpec.trace_handles`.
        check: `check(channels, hyperparameters)` says why a combination is impossible, or None;
            for what `Hyperparameter` cannot say. Say there what must divide the channels, and
            `OpSpec.fit` fits it for narrower networks.
        backends: Names of the implementations that can run it.

    Raises:
        ValueError: If the name is taken.
    """
    known = {
        key: _hyperparameter(name, key, value) for key, value in (hyperparameters or {}).items()
    }

    def decorate(build: Build) -> Build:
        if name in _OPERATORS:
            taken = _OPERATORS[name].build
            owner = f"{taken.__module__}.{taken.__qualname__}"
            raise ValueError(f"operator {name!r} is already registered by {owner}")
        _OPERATORS[name] = OpSpec(
            name=name,
            build=build,
            hyperparameters=MappingProxyType(known),
            fvcore_macs=macs,
            paper_macs=paper_macs or macs,
            count_params=params,
            check=check,
            backends=tuple(backends),
            trace_handles=MappingProxyType(dict(trace_handles or {})),
        )
        publish(_OPERATORS[name].trace_handles)
        return build

    return decorate


def get(name: str) -> OpSpec:
    """Returns the operator registered under `name`, loading a third party's entry point if needed.

    Raises:
        UnknownOperatorError: (a KeyError) if there is none; names the nearest one.
        ImportError: If the entry point of that name cannot be loaded.
    """
    if name in _OPERATORS:
        return _OPERATORS[name]
    plugins = _entry_points()
    broken = []
    if name in plugins:
        _load(plugins[name])
    else:
        for plugin in plugins.values():
            try:
                _load(plugin)
            except ImportError as error:
                broken.append(str(error))
    if name in _OPERATORS:
        return _OPERATORS[name]
    known = names()
    message = f"no operator is called {name!r}{nearest_hint(name, known)}"
    message += f"; registered: {', '.join(known)}"
    raise UnknownOperatorError("; ".join([message, *broken]))


def names() -> tuple[str, ...]:
    """Names of every operator, in order of registration; entry points come last, not yet loaded."""
    return tuple(dict.fromkeys([*_OPERATORS, *_entry_points()]))


def output_pixels(shape: Sequence[int], stride: int) -> int:
    """B * ceil(H / stride) * ceil(W / stride) for an input of `shape` (B, C, H, W)."""
    batch, _, height, width = shape
    return batch * -(-height // stride) * -(-width // stride)


_OPERATORS: dict[str, OpSpec] = {}


def _hyperparameter(
    operator: str, name: str, given: Hyperparameter | tuple[Any, ...]
) -> Hyperparameter:
    if isinstance(given, Hyperparameter):
        return given
    if not isinstance(given, tuple) or not given:
        raise ValueError(
            f"operator {operator!r}: hyperparameter {name!r} must be a Hyperparameter or a tuple "
            f"of valid values (the first is the default), not {given!r}"
        )
    return Hyperparameter(default=given[0], allowed=given)


@probe
def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}


def _load(point: metadata.EntryPoint) -> None:
    try:
        point.load()
    except Exception as error:
        raise ImportError(
            f"the operator plugin {point.name!r} ({point.value}) cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
