"""Elastic: the networks of a space in one, with shared weights.

A network of it is what would be built alone, its parts called with slices of the shared tensors in
place of weights of their own (``torch.func.functional_call``). So what is computed is a stand-alone
network's forward pass by construction, whatever the operator, and gradients flow to the shared
tensors through the slices. In training each call goes one path: the network of an architecture that
is drawn uniformly (single-path one-shot; Guo et al., ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from invsearch.accuracy.supernet.slices import Slice, is_foreign, slices
from invsearch.models import Network, NetworkSpec, Part, Place, build
from invsearch.models.initialise import initialise

__all__ = ["Elastic", "NotCoveredError"]

_SIZE = (1, 1)  # modules do not depend on the size of the images
_SEEDS = 2**31  # of Python's generator, from torch's: a checkpoint keeps the latter alone


class NotCoveredError(ValueError):
    """A network that has weights which no network that the shared ones were made for has."""


@dataclass(frozen=True)
class _Piece:
    """A part of a network without weights, and where in the shared ones these are."""

    module: nn.Module
    slices: tuple[Slice, ...]


class Elastic(nn.Module):
    """The networks of a space in one.

    Args:
        cover: Networks whose weights cover those of all that will be asked for.
        draw: Makes the network of a seed, for a step of training; one that is not covered is drawn
            anew.

    Attributes:
        path: The network of a call that is no training.
    """

    def __init__(self, cover: Iterable[NetworkSpec], draw: Callable[[int], NetworkSpec]) -> None:
        super().__init__()
        self._draw = draw
        self._pieces: dict[Part, _Piece] = {}
        places: dict[tuple[str, Part], Place] = {}
        largest: NetworkSpec | None = None
        widest = -1
        for spec in cover:
            width = sum(stage.width * len(stage.blocks) for stage in spec.stages)
            if width > widest:
                widest, largest = width, spec
            places.update({(place.name, place.part): place for place in spec.walk(*_SIZE)})
        if largest is None:
            raise ValueError("an elastic network needs at least one network")
        self.path = largest
        self._shapes = self._widest(places.values())
        self._weights = nn.Module()
        norms = {
            f"{place.name}.{one.key}"
            for place in places.values()
            for one in self._piece(place.part).slices
            if one.norm
        }
        for key, shape in self._shapes.items():
            self._hold(key, shape, norm=key in norms)
        self._initialise(places.values())

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, classes), by a path that is drawn in training."""
        return self.along(self._drawn() if self.training else self.path, images)

    def along(self, spec: NetworkSpec, images: Tensor) -> Tensor:
        """What a network of the space makes of images, batch norms by the batch's statistics.

        Raises:
            NotCoveredError: If the shared weights do not have its weights.
        """
        x = images
        for place in spec.walk(*_SIZE):
            piece = self._piece(place.part)
            x = functional_call(piece.module, dict(self._cut(place, piece)), (x,))
        return x

    def covers(self, spec: NetworkSpec) -> bool:
        """Whether the shared weights have those of a network."""
        for place in spec.walk(*_SIZE):
            for one in self._piece(place.part).slices:
                shape = self._shapes.get(f"{place.name}.{one.key}")
                if shape is None or len(shape) != len(one.shape) or not one.within(shape):
                    return False
        return True

    def extract(self, spec: NetworkSpec) -> Network:
        """The network alone, with a copy of its weights; its batch norms have no statistics yet.

        Raises:
            NotCoveredError: If the shared weights do not have its weights.
        """
        like = next(self.parameters())
        network = build(spec).to(like.device, like.dtype)
        with torch.no_grad():
            for place in spec.walk(*_SIZE):
                piece = self._piece(place.part)
                for name, weight in self._cut(place, piece):
                    network.get_parameter(_in_network(place, name)).copy_(weight)
        return network

    def _drawn(self) -> NetworkSpec:
        """From torch's own generator, which a trainer seeds for an epoch and keeps at a kill."""
        while True:
            spec = self._draw(int(torch.randint(_SEEDS, ())))
            if self.covers(spec):
                return spec

    def _cut(self, place: Place, piece: _Piece) -> Iterator[tuple[str, Tensor]]:
        for one in piece.slices:
            key = f"{place.name}.{one.key}"
            shared = self._shared.get(key)
            if shared is None or not one.within(tuple(shared.shape)):
                raise NotCoveredError(f"the supernet has no weights for {key} of {one.shape}")
            weight = one.cut(shared)
            last = torch.channels_last if weight.ndim == 4 else torch.contiguous_format
            yield one.name, weight.contiguous(memory_format=last)

    @cached_property
    def _shared(self) -> dict[str, nn.Parameter]:
        """By key; parameters are moved in place, so these stay the same."""
        return dict(self._weights.named_parameters())

    def _piece(self, part: Part) -> _Piece:
        found = self._pieces.get(part)
        if found is None:
            with torch.device("meta"):
                module = part.form.build(part)
            if is_foreign(module):  # it may have tensors that are no weights
                module = part.form.build(part)
            found = self._pieces[part] = _Piece(_on_batches(module), tuple(slices(part, module)))
        return found

    def _widest(self, places: Iterable[Place]) -> dict[str, tuple[int, ...]]:
        """By key the largest size of every axis."""
        found: dict[str, tuple[int, ...]] = {}
        for place in places:
            for one in self._piece(place.part).slices:
                key = f"{place.name}.{one.key}"
                known = found.get(key, one.shape)
                found[key] = tuple(map(max, known, one.shape))
        return found

    def _hold(self, key: str, shape: tuple[int, ...], *, norm: bool) -> None:
        """Register a shared tensor under its name, a norm's in a norm for its weight decay."""
        *path, name = key.split(".")
        holder = self._weights
        for place, step in enumerate(path, start=1):
            if step not in holder._modules:
                last = norm and place == len(path)
                made = nn.BatchNorm2d(shape[0], track_running_stats=False) if last else nn.Module()
                holder.add_module(step, made)
            holder = holder._modules[step]  # type: ignore[assignment]
        if not norm:
            holder.register_parameter(name, nn.Parameter(torch.zeros(shape)))

    @torch.no_grad()
    def _initialise(self, places: Iterable[Place]) -> None:
        """Every number as it begins in a stand-alone network, of the largest that has it."""
        empty = {key: torch.ones(shape, dtype=torch.bool) for key, shape in self._shapes.items()}
        for place in sorted(places, key=_size_of, reverse=True):
            own = [(one, f"{place.name}.{one.key}") for one in self._piece(place.part).slices]
            if not any(bool(one.cut(empty[key]).any()) for one, key in own):
                continue
            fresh = place.part.form.build(place.part)
            initialise(fresh)
            weights = dict(fresh.named_parameters())
            for one, key in own:
                here, free = _box(one, self._shared[key].data), _box(one, empty[key])
                here[free] = weights[one.name].reshape(one.shape)[free]
                free[:] = False


def _box(one: Slice, shared: Tensor) -> Tensor:
    """The slice as a view, in the shape in which it is cut out."""
    for axis, size in enumerate(one.shape):
        start = (shared.shape[axis] - size) // 2 if axis in one.centred else 0
        shared = shared.narrow(axis, start, size)
    return shared


def _on_batches(module: nn.Module) -> nn.Module:
    """The module with batch norms that keep no statistics: of which network would they be?"""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                norm.register_buffer(name, None)
    return module


def _size_of(place: Place) -> tuple[int, int, int, str]:
    part = place.part
    block = dict(part.block.hyperparameters) if part.block else {}
    window = int(block.get("kernel_size", 0))
    return part.out_channels, window, -int(block.get("reduction", 1)), part.name


def _in_network(place: Place, name: str) -> str:
    """A weight's name in the whole network, by that in its part."""
    if place.stage:
        return f"stages.{place.stage - 1}.{place.block - 1}.{name}"
    if place.part.kind == "head":
        index, _, rest = name.partition(".")
        return f"{ {'0': 'final', '3': 'head'}[index] }.{rest}"
    return f"stem.{name}"
