"""`freeze`: a network's layers put together for inference."""

from __future__ import annotations

import copy

from torch import fx, nn

from ops.frozen.network import Frozen

__all__ = ["freeze"]

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def freeze(network: nn.Module) -> Frozen:
    """Copy a network for inference alone, its layers put together without a compiler.

    Batch norms become part of the convolutions before them, in float64 and rounded once. On a CPU
    in float32 a convolution, its bias, ReLU and shortcut are one call of oneDNN with weights packed
    at the first call; an involution's norm and ReLU are one pass; and the first layers run for few
    images at a time, which stay in cache. Elsewhere, in other types, under a compiler or where
    something is differentiated, the same layers run as torch's operators.

    Any module will do. What cannot be followed (`torch.fx`), is watched by a hook, has parametrized
    weights or is of a class of somebody else's stays as it is, and so does what is in it where it
    is watched. Results equal the network's within float32's rounding, 1e-5 of the largest for a
    ResNet-50; they are channels-last on a CPU. Two things are not the network's own: where NaN
    reaches a ReLU that is oneDNN's, it comes out as 0; and a forward that changes a buffer of its
    own, or enters autocast, is followed as it went when it was frozen.

    Args:
        network: In eval mode; left as it is. On any device, of any type.

    Returns:
        The copy, which takes and returns what the network does, and refuses to be trained.

    Raises:
        TypeError: If it is no module.
        ValueError: If the network or a part of it is in training mode.
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"ops.freeze takes a module, not {type(network).__name__}")
    training = next((name for name, part in network.named_modules() if part.training), None)
    if training is not None:
        which = f"its part {training!r}" if training else "it"
        raise ValueError(f"ops.freeze takes a network in eval mode: {which} is not, call eval()")
    if isinstance(network, Frozen):
        return copy.deepcopy(network)
    return _frozen(copy.deepcopy(network))


def _frozen(network: nn.Module) -> Frozen:
    from ops.frozen.fuse import fuse
    from ops.frozen.trace import traced
    from ops.frozen.waves import cut

    graph = traced(network)
    if graph is None:
        _freeze_children(network)
        return Frozen(network)
    for name in _left(graph):
        _freeze_children(graph.get_submodule(name))
    fuse(graph)
    parts = cut(graph)
    return Frozen(graph) if parts is None else Frozen(parts[1], parts[0])


def _left(graph: fx.GraphModule) -> list[str]:
    """Layers that were not entered, though they have layers of their own, of somebody else's."""
    names = {str(node.target) for node in graph.graph.nodes if node.op == "call_module"}
    return sorted(name for name in names if _is_composite(graph.get_submodule(name)))


def _is_composite(module: nn.Module) -> bool:
    owner = type(module).__module__.partition(".")[0]
    inside = any(True for _ in module.children())
    return inside and (owner not in ("torch", "ops") or isinstance(module, _CONTAINERS))


def _freeze_children(module: nn.Module) -> None:
    """Freeze the parts of one that cannot be followed itself: its forward calls them as before.

    Only sequences, which are called and not looked into.
    """
    for name, child in list(module.named_children()):
        if type(child) is nn.Sequential and len(child):
            frozen = _frozen(child)
            if isinstance(frozen.network, fx.GraphModule):
                setattr(module, name, frozen)
        elif _is_composite(child):
            _freeze_children(child)
