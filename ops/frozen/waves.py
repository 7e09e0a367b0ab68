"""Where a network is cut in two: its first layers run for few images at a time, the rest for all.

The first layers have large activations and small weights: for an image at a time their activations
stay in cache, for a batch they go through memory layer by layer. The last layers are the other way
round: their weights are read once for a batch.
"""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch import fx, nn

from ops.eager import hooked
from ops.frozen.convolution import FrozenConvolution
from ops.frozen.normalised import FrozenNorm
from ops.involution import Involution2d
from ops.pointwise import Pointwise

__all__ = ["cut"]

_WEIGHTS_BYTES = 6 << 20
"""Of the first layers' weights: with an image's activations they stay in a third-level cache.

RedNet-50 is cut behind its second stage, where an image's activations (1.6 MB) are smaller than the
next stage's weights (20 MB).
"""

_LAYERS: tuple[type[nn.Module], ...] = (
    *(FrozenConvolution, FrozenNorm, Involution2d, Pointwise, nn.Conv2d, nn.BatchNorm2d),
    *(nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.MaxPool2d, nn.AvgPool2d),
    *(nn.Identity, nn.Dropout),
)
"""Whose result of an image does not depend on the others."""

_FUNCTIONS = (operator.add, operator.iadd, torch.add, torch.relu, F.relu, F.relu6, F.silu)


def cut(module: fx.GraphModule) -> tuple[fx.GraphModule, fx.GraphModule] | None:
    """A graph as two, one behind the other; None where there is no place to cut it."""
    place = _place(module)
    if place is None:
        return None
    early, late = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph = early
    for node in module.graph.nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
        if node is place:
            early.output(copies[node])
            graph = late
            copies[node] = late.placeholder("features")
    parts = fx.GraphModule(module, early), fx.GraphModule(module, late)
    for part in parts:
        part.graph.lint()
    return parts


def _place(module: fx.GraphModule) -> fx.Node | None:
    """The last node that everything behind it needs alone, before the weights grow too large."""
    last_use = {
        used: index for index, n in enumerate(module.graph.nodes) for used in n.all_input_nodes
    }
    live: set[fx.Node] = set()
    weights, layers, found = 0, 0, None
    for index, node in enumerate(module.graph.nodes):
        if node.op == "placeholder":
            live.add(node)
            continue
        if not _image_by_image(module, node):
            break
        if node.op == "call_module":
            layer = module.get_submodule(str(node.target))
            weights += sum(t.numel() * t.element_size() for t in layer.state_dict().values())
            layers += isinstance(layer, FrozenConvolution)
        if weights > _WEIGHTS_BYTES:
            break
        live = {one for one in live if last_use.get(one, 0) > index} | {node}
        if live == {node} and layers > 1:
            found = node
    return found


def _image_by_image(module: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        apart = type(layer) in _LAYERS and not layer.training
        return apart and not any(hooked(m) or _mixes(m) for m in layer.modules())
    if node.op == "call_function":
        return node.target in _FUNCTIONS
    return node.op == "call_method" and node.target in ("relu", "relu_", "add", "add_")


def _mixes(layer: nn.Module) -> bool:
    """Whether images depend on each other, or more than images comes out."""
    return (
        isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is None
    ) or bool(getattr(layer, "return_indices", False))
