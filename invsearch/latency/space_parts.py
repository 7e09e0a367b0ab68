"""The distinct parts of a space's networks: what a table must hold to predict any of them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from invsearch.errors import InputError
from invsearch.latency.parts import Part, network_parts
from invsearch.models import NetworkSpec
from invsearch.space import Architecture, Space

__all__ = ["companies", "distinct_parts", "parts_of_networks"]

_MOST_PARTS = 2_000  # at 0.15 s each, five minutes under the device's lock
_ENUMERABLE = 4_096  # architectures of which each is walked over
_MOST_DRAWN = 65_536  # by then a new part is rarer than one in 32,768 networks


def distinct_parts(
    space: Space, spec: Callable[[Mapping[str, Any]], NetworkSpec], size: Sequence[int]
) -> dict[str, Part]:
    """The parts that the space's networks have, by name.

    Args:
        space: What is searched.
        spec: The network of an architecture.
        size: (height, width) of the images.

    Raises:
        InputError: If there are too many to measure each.
    """
    return parts_of_networks(space, spec, size)[0]


def parts_of_networks(
    space: Space, spec: Callable[[Mapping[str, Any]], NetworkSpec], size: Sequence[int]
) -> tuple[dict[str, Part], list[tuple[str, ...]]]:
    """:func:`distinct_parts`, and networks that have all of them, each as the names of its parts.

    Raises:
        InputError: If there are too many to measure each.
    """
    found: dict[str, Part] = {}
    networks: list[tuple[str, ...]] = []
    height, width = size
    for architecture in _until_known(space, found):
        parts = {part.name: part for part in network_parts(spec(architecture), height, width)}
        networks.append(tuple(parts))
        found |= parts
        if len(found) > _MOST_PARTS:
            raise InputError(
                f"latency.table: the space has more than {_MOST_PARTS:,} distinct blocks, too"
                " many to measure each: narrow the space, or leave out latency.table"
            )
    return found, networks


def companies(
    networks: Sequence[Collection[str]], wanted: Collection[str]
) -> list[Collection[str]]:
    """Few of the networks that together have every wanted part: the greedy cover.

    The gain of a network only falls as others are taken, so its last gain, kept in a heap, bounds
    what it brings (Minoux's lazy greedy).

    Args:
        networks: Each as the names of its parts.
        wanted: Names that some of them have.
    """
    left = set(wanted)
    heap = [(-len(left & set(parts)), place) for place, parts in enumerate(networks)]
    heapq.heapify(heap)
    taken: list[Collection[str]] = []
    while left and heap:
        gain, place = heapq.heappop(heap)
        brings = len(left & set(networks[place]))
        if brings == -gain and brings:
            taken.append(networks[place])
            left -= set(networks[place])
        elif brings:
            heapq.heappush(heap, (-brings, place))
    return taken


def _until_known(space: Space, found: Mapping[str, Part]) -> Iterator[Architecture]:
    """Every architecture of a small space; else drawn ones, until they bring nothing new."""
    if space.size() <= _ENUMERABLE:
        yield from space.enumerate()
        return
    rng, count, before = random.Random(0), 1_024, -1
    while len(found) > before and count <= _MOST_DRAWN:
        before = len(found)
        for _ in range(count):
            yield space.sample(rng)
        count *= 2
