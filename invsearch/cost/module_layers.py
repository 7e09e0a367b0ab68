"""Where the cost of somebody else's network goes: its innermost parts, as they run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from invsearch.cost.closed_form import FLOAT_BYTES, LayerCost
from invsearch.cost.meta_trace import FvcoreCounter
from invsearch.cost.modules import PaperCounter
from invsearch.models.module import ModuleSpec, build_shapes

__all__ = ["kind_of", "module_layers"]

_KINDS = {
    "Conv2d": "convolution",
    "ConvTranspose2d": "transposed_convolution",
    "Involution2d": "involution",
    "SelfAttention2d": "self_attention",
    "Linear": "linear",
    "BatchNorm2d": "batch_norm",
    "AdaptiveAvgPool2d": "average_pool",
    "Upsample": "interpolation",
    "ReLU": "relu",
    "Dropout2d": "dropout",
}

_REST = "functional"
_NOTHING = (nn.Identity, nn.modules.dropout._DropoutNd, nn.Flatten)


@dataclass
class _Traffic:
    """What a part read and wrote in all its calls, and the first output's shape."""

    elements: int = 0
    shape: tuple[int, ...] = ()
    calls: int = 0


def module_layers(spec: ModuleSpec, size: tuple[int, int]) -> list[LayerCost]:
    """Break a network's cost down by its innermost parts: layers, and registered operators whole.

    Args:
        spec: The network.
        size: (height, width) of the image, in pixels.

    Returns:
        A row for each part that runs, in the order of the network's parts; what a pass in eval mode
        leaves as it is has none. A part that runs several times is one row. What is computed, or
        held as a parameter, outside of them is in a last row ``functional``, so that the columns
        add up to :func:`invsearch.cost.module_count` exactly; bytes that move between the parts are
        in no row.

    Raises:
        InputError: If it cannot be built.
        CheckError: If something that costs is not counted.
    """
    module, shape = build_shapes(spec), (1, spec.in_channels, *size)
    units = dict(_units(module))
    fvcore, paper = FvcoreCounter(module), PaperCounter(module)
    with _watching(units) as traffic:
        fvcore.run(shape)
    paper.run(shape)
    macs = [_by_unit(counter.parts, units) for counter in (fvcore, paper)]
    known: set[int] = set()
    rows = [
        _row(name, part, traffic[name], (macs[0][name], macs[1][name]), known)
        for name, part in units.items()
        if traffic[name].calls
    ]
    return [*rows, *_rest(module, rows, (fvcore.total, paper.total))]


def kind_of(part: nn.Module) -> str:
    """What a layer is, in the words of the registry; else its class."""
    name = type(part).__name__
    return _KINDS.get(name, name)


def _units(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Parts without parts, and registered operators."""
    for name, part in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(part, _NOTHING):
            continue
        whole = type(part).__module__.partition(".")[0] == "ops"
        if whole or not any(True for _ in part.children()):
            yield path, part
        else:
            yield from _units(part, f"{path}.")


class _watching:  # noqa: N801 - a context, read as a verb
    """Notes what goes in and out of parts while they run."""

    def __init__(self, units: Mapping[str, nn.Module]) -> None:
        self._units, self._hooks = units, ExitStack()
        self._traffic: defaultdict[str, _Traffic] = defaultdict(_Traffic)

    def __enter__(self) -> defaultdict[str, _Traffic]:
        for name, part in self._units.items():
            self._hooks.callback(part.register_forward_hook(self._seeing(name)).remove)
        return self._traffic

    def __exit__(self, *error: object) -> None:
        self._hooks.close()

    def _seeing(self, name: str) -> Any:
        def see(part: nn.Module, inputs: Any, output: Any) -> None:
            found, made = self._traffic[name], _shapes(output)
            found.calls += 1
            found.elements += sum(map(math.prod, [*_shapes(inputs), *made]))
            found.shape = found.shape or next(iter(made), ())

        return see


def _shapes(value: Any) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _by_unit(parts: Mapping[str, int], units: Iterable[str]) -> defaultdict[str, int]:
    """MACs by unit, of what ran in it or in a part of it."""
    found: defaultdict[str, int] = defaultdict(int)
    known = set(units)
    for name, macs in parts.items():
        while name and name not in known:
            name = name.rpartition(".")[0]
        found[name] += macs
    return found


def _row(
    name: str, part: nn.Module, traffic: _Traffic, macs: tuple[int, int], known: set[int]
) -> LayerCost:
    """The row of a part; a weight that several parts share is the first one's."""
    weights = [w for w in part.parameters() if id(w) not in known]
    known.update(map(id, weights))
    params = sum(w.numel() for w in weights if w.requires_grad)
    moved = FLOAT_BYTES * (traffic.elements + sum(w.numel() for w in weights))
    return LayerCost(name, kind_of(part), params, *macs, moved, _image(traffic.shape))


def _rest(
    module: nn.Module, rows: Iterable[LayerCost], macs: tuple[int, int]
) -> Iterator[LayerCost]:
    params = sum(w.numel() for w in module.parameters() if w.requires_grad)
    rows = list(rows)
    left = (
        params - sum(row.params for row in rows),
        macs[0] - sum(row.macs_fvcore for row in rows),
        macs[1] - sum(row.macs_paper for row in rows),
    )
    if any(left):
        yield LayerCost(_REST, _REST, *left, 0, (0, 0, 0))


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(channels, height, width) of an output, whatever its rank is."""
    channels, *size = (*shape[1:], 1, 1, 1)[:3]
    height, width = size
    return channels, height, width
