"""Replacement: a rule that puts a registered operator in place of convolutions of any network."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

import ops
from invsearch.errors import InputError, nearest

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = ["KEEP", "Replacement", "put_in_place"]

KEEP = "keep"
"""The operator of a rule that leaves the convolutions as they are."""

_SHOWN = 4  # names of convolutions in a message: a line


@dataclass(frozen=True)
class Replacement:
    """A rule.

    Attributes:
        match: Pattern of the convolutions' names in the network, as of files: ``*.conv_dw``.
        operator: A registered operator, or :data:`KEEP`.
        hyperparameters: Of the operator. What divides the channels is fitted to each convolution's
            (:meth:`ops.OpSpec.fit`); what is not given is the convolution's own, such as
            ``kernel_size``, where the operator can have it, else the operator's default.
        stage: The stage that they are in, from 1; 0 for any.
    """

    match: str
    operator: str
    hyperparameters: tuple[tuple[str, Value], ...] = ()
    stage: int = 0

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "hyperparameters": dict(self.hyperparameters)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Replacement:
        """The inverse of :meth:`to_json`."""
        return cls(**{**data, "hyperparameters": tuple(data["hyperparameters"].items())})


def put_in_place(network: nn.Module, rules: Sequence[Replacement]) -> nn.Module:
    """Replace convolutions of a network, in place; of several rules for one the first decides.

    Args:
        network: Any network.
        rules: May be none.

    Returns:
        The network.

    Raises:
        InputError: If a rule matches no convolution, matches one that no operator can stand for
            (other channels than it has come out, or another size than ``ceil(H / stride)``), or
            the operator cannot have its width.
    """
    if not rules:
        return network
    found = dict(_convolutions(network))
    stages = _stages(network, found) if any(rule.stage for rule in rules) else {}
    decided: dict[str, Replacement] = {}
    for rule in rules:
        matched = [name for name in found if fnmatch.fnmatchcase(name, rule.match)]
        here = [name for name in matched if rule.stage in (0, stages.get(name))]
        if not here:
            raise _nothing(rule, found, matched, stages)
        for name in here:
            decided.setdefault(name, rule)
    for name, rule in decided.items():
        if rule.operator != KEEP:
            _refuse_shared(found, name)
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, _instead(found[name], name, rule))
    return network


def _refuse_shared(found: Mapping[str, nn.Conv2d], name: str) -> None:
    """Refuse a convolution that stands in several places: which of them is meant, nothing says."""
    places = [other for other, part in found.items() if part is found[name]]
    if len(places) > 1:
        raise InputError(
            f"replace: {' and '.join(places)} are one convolution, with the same weights, and not "
            "replaced: build the network with one each, or leave it out of match"
        )


def _convolutions(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    """Every convolution but those inside of registered operators."""
    inside: tuple[str, ...] = ()
    for name, part in network.named_modules(remove_duplicate=False):
        if name.startswith(inside):
            continue
        if type(part).__module__.startswith("ops."):
            inside = (*inside, f"{name}.")
        if isinstance(part, nn.Conv2d) and name:
            yield name, part


def _stages(network: nn.Module, found: Mapping[str, nn.Conv2d]) -> dict[str, int]:
    """By name, the stage of each convolution: a network's ``feature_info`` says where they end."""
    info: Any = getattr(network, "feature_info", None)
    named = [str(one["module"]) for one in info or () if isinstance(one, Mapping)]
    ends = [end for end in named if any(name.startswith(f"{end}.") for name in found)]
    if not ends:
        raise InputError(
            "replace: the network has no feature_info, so nothing tells its stages: give match "
            "alone, such as 'layer3.*'"
        )
    tops = {end.partition(".")[0] for end in ends}
    inside = [name for name in found if name.partition(".")[0] in tops]
    last = [max(i for i, n in enumerate(inside) if n.startswith(f"{end}.")) for end in ends]
    # what lies between two of them leads to the later one, what lies past them to none
    places = {name: sum(end < index for end in last) + 1 for index, name in enumerate(inside)}
    return {name: stage for name, stage in places.items() if stage <= len(ends)}


def _nothing(
    rule: Replacement,
    found: Mapping[str, nn.Conv2d],
    matched: Sequence[str],
    stages: Mapping[str, int],
) -> InputError:
    if matched:
        there = sorted({stages[name] for name in matched if name in stages})
        known = ", ".join(map(str, there)) or "none"
        return InputError(
            f"replace: no convolution matches {rule.match!r} in stage {rule.stage}; stages that "
            f"have one: {known}"
        )
    names = list(found)
    some = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    hint = nearest(rule.match, names)
    return InputError(f"replace: no convolution matches {rule.match!r}{hint}; there are: {some}")


def _instead(convolution: nn.Conv2d, name: str, rule: Replacement) -> nn.Module:
    """The operator that stands in place of a convolution."""
    reason = _impossible(convolution)
    if reason:
        raise InputError(f"replace: {name} {reason}: narrow {rule.match!r}")
    operator = ops.get(rule.operator)
    own = {"kernel_size": convolution.kernel_size[0], "dilation": convolution.dilation[0]}
    settings = {
        key: value
        for key, value in own.items()
        if key in operator.hyperparameters and operator.problem(None, {key: value}) is None
    }
    given = {k: v for k, v in rule.hyperparameters if k in operator.hyperparameters}
    channels = convolution.in_channels
    try:
        fitted = operator.fit(channels, {**settings, **given})
        made = operator.make(channels, stride=convolution.stride[0], **fitted)
    except ValueError as error:
        raise InputError(f"replace: {name}: {error}") from error
    weight = convolution.weight
    return made.to(weight.device, weight.dtype) if not weight.is_meta else made


def _impossible(convolution: nn.Conv2d) -> str:
    """Why no operator can stand for a convolution; empty where one can."""
    inputs, outputs = convolution.in_channels, convolution.out_channels
    if inputs != outputs:
        return f"has {inputs} channels in and {outputs} out, and an operator keeps their number"
    for what in ("kernel_size", "stride", "dilation"):
        height, width = getattr(convolution, what)
        if height != width:
            return f"has {what} {height} x {width}, and an operator's is square"
    size, dilation = convolution.kernel_size[0], convolution.dilation[0]
    same = dilation * (size - 1) / 2
    padding = convolution.padding
    pads = padding == "same" or (isinstance(padding, tuple) and padding == (same, same))
    if not pads and type(convolution).__name__ != "Conv2dSame":  # timm's, which pads as it runs
        return f"has padding {padding} and puts out another size than an operator does"
    return ""
