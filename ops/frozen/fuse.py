"""Layers of a graph that become one: a convolution and what follows it, a norm and its ReLU."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import fx, nn

from ops.eager import hooked
from ops.frozen.convolution import FrozenConvolution
from ops.frozen.fold import folded, is_convolution, is_norm
from ops.frozen.normalised import FrozenNorm
from ops.involution import Involution2d

__all__ = ["fuse"]

_SUMS: dict[object, bool] = {
    operator.add: False,
    operator.iadd: True,
    torch.add: False,
    "add": False,
    "add_": True,
}
"""What adds two tensors; whether into the first."""

_ACTIVATIONS: dict[object, str] = {
    **{nn.ReLU: "relu", F.relu: "relu", torch.relu: "relu", "relu": "relu", "relu_": "relu"},
    **{torch.relu_: "relu", nn.ReLU6: "relu6", F.relu6: "relu6"},
}

_INTO = {operator.setitem, *(getattr(operator, name) for name in dir(operator) if name[0] == "i")}
"""Functions that write into their first argument (with harmless ones, such as ``index``)."""


class _Chain(NamedTuple):
    """Nodes of which each is the only user of the one before it."""

    nodes: tuple[fx.Node, ...]
    norm: fx.Node | None
    sum: fx.Node | None
    activation: str

    @property
    def last(self) -> fx.Node:
        return self.nodes[-1]

    @property
    def shortcut(self) -> fx.Node | None:
        """What is added."""
        if self.sum is None:
            return None
        first, second = self.sum.args
        other = second if first in self.nodes else first
        assert isinstance(other, fx.Node)
        return other


def fuse(module: fx.GraphModule) -> None:
    """Rewrite a graph in place: it computes the same up to rounding."""
    for node in list(module.graph.nodes):
        if is_convolution(_module(module, node)):
            _fuse_convolution(module, node)
    for node in list(module.graph.nodes):
        if is_norm(_module(module, node)):
            _fuse_norm(module, node)
    module.graph.lint()
    module.delete_all_unused_submodules()
    module.recompile()


def _fuse_convolution(module: fx.GraphModule, node: fx.Node) -> None:
    conv = _module(module, node)
    assert isinstance(conv, nn.Conv2d)
    chain = _longest(module, node, start_is_norm=False)
    norm = None if chain.norm is None else _module(module, chain.norm)
    if norm is not None and not _fits(conv, norm):
        return
    assert norm is None or isinstance(norm, nn.BatchNorm2d)
    step = FrozenConvolution(*folded(conv, norm), conv, chain.activation)
    _replace(module, chain, step)


def _fuse_norm(module: fx.GraphModule, node: fx.Node) -> None:
    norm = _module(module, node)
    assert isinstance(norm, nn.BatchNorm2d)
    chain = _longest(module, node, start_is_norm=True)
    if chain.activation != "relu":
        return
    source = node.args[0]
    assert isinstance(source, fx.Node)
    fresh = len(source.users) == 1 and type(_module(module, source)) is Involution2d
    _replace(module, chain, FrozenNorm(norm, in_place=fresh))


def _fits(conv: nn.Conv2d, norm: nn.Module) -> bool:
    """Whether the norm's vectors are the convolution's channels, on its device."""
    vectors = [*norm.parameters(), *(b for b in norm.buffers() if b.dim() == 1)]
    like = conv.weight
    return all(len(one) == len(like) and one.device == like.device for one in vectors)


def _longest(module: fx.GraphModule, start: fx.Node, *, start_is_norm: bool) -> _Chain:
    """The longest chain from a layer on that can be run where its last node stands."""
    chains = list(_chains(module, start, start_is_norm=start_is_norm))
    return next(chain for chain in reversed(chains) if _undisturbed(module, chain.nodes))


def _chains(module: fx.GraphModule, start: fx.Node, *, start_is_norm: bool) -> Iterator[_Chain]:
    """Chains from a layer on, each longer than the one before it."""
    nodes: tuple[fx.Node, ...] = (start,)
    norm: fx.Node | None = start if start_is_norm else None
    total: fx.Node | None = None
    yield _Chain(nodes, norm, None, "")
    following = _only_user(nodes[-1])
    if not start_is_norm and following is not None and is_norm(_module(module, following)):
        nodes, norm = (*nodes, following), following
        yield _Chain(nodes, norm, None, "")
        following = _only_user(nodes[-1])
    if following is not None and _sums(following, nodes[-1]):
        nodes, total = (*nodes, following), following
        yield _Chain(nodes, norm, total, "")
        following = _only_user(nodes[-1])
    activation = "" if following is None else _activation(module, following)
    if following is not None and activation:
        yield _Chain((*nodes, following), norm, total, activation)


def _only_user(node: fx.Node) -> fx.Node | None:
    """Who alone uses a node's value, and once."""
    users = list(node.users)
    if len(users) != 1 or users[0].op == "output":
        return None
    return users[0] if users[0].all_input_nodes.count(node) == 1 else None


def _sums(node: fx.Node, term: fx.Node) -> bool:
    """Whether a node adds a tensor to a term, and writes into no other than that."""
    if node.op not in ("call_function", "call_method") or node.target not in _SUMS:
        return False
    plain = len(node.args) == 2 and not node.kwargs
    if not plain or not all(isinstance(arg, fx.Node) for arg in node.args):
        return False
    first, second = node.args
    return first is not second and (first is term or not _SUMS[node.target])


def _activation(module: fx.GraphModule, node: fx.Node) -> str:
    called = _module(module, node)
    if called is not None:
        return "" if hooked(called) else _ACTIVATIONS.get(type(called), "")
    if node.op not in ("call_function", "call_method") or len(node.all_input_nodes) != 1:
        return ""
    extra = [*node.args[1:], *(v for k, v in node.kwargs.items() if k not in ("input", "inplace"))]
    known = all(isinstance(value, bool) for value in extra)
    return _ACTIVATIONS.get(node.target, "") if known else ""


def _undisturbed(module: fx.GraphModule, nodes: Sequence[fx.Node]) -> bool:
    """Whether nothing between the first node and the last may write into what the first reads."""
    node = nodes[0]
    while node is not nodes[-1]:
        node = node.next
        if node not in nodes and _writes(module, node):
            return False
    return True


def _writes(module: fx.GraphModule, node: fx.Node) -> bool:
    called = _module(module, node)
    if called is not None:
        known = type(called).__module__.partition(".")[0] in ("torch", "ops")
        return not known or hooked(called) or bool(getattr(called, "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_")
    if node.op != "call_function":
        return False
    name = getattr(node.target, "__name__", "")
    flags = [*node.args, *node.kwargs.values()]
    return (
        node.target in _INTO
        or name.endswith("_")
        or "out" in node.kwargs
        or any(flag is True for flag in flags)
    )


def _replace(module: fx.GraphModule, chain: _Chain, step: nn.Module) -> None:
    """Put a step where the chain's last node stands, and take the chain away."""
    name = _new_name(module, chain.nodes[0])
    module.add_submodule(name, step)
    inputs = [chain.nodes[0].args[0]]
    if chain.shortcut is not None:
        inputs.append(chain.shortcut)
    with module.graph.inserting_before(chain.last):
        node = module.graph.call_module(name, tuple(inputs))
    chain.last.replace_all_uses_with(node)
    for old in reversed(chain.nodes):
        module.graph.erase_node(old)


def _new_name(module: fx.GraphModule, node: fx.Node) -> str:
    """A name beside the layer's own, which may be called more than once."""
    base, number = f"{str(node.target).replace('.', '_')}_frozen", 0
    while hasattr(module, f"{base}{number or ''}"):
        number += 1
    return f"{base}{number or ''}"


def _module(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The layer that a node calls with one tensor; None if it calls none."""
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return None
    return module.get_submodule(str(node.target))
