"""The distinct parts of a space's networks: what a table must hold to predict any of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from invsearch.errors import InputError
from invsearch.latency.parts import Part, network_parts
from invsearch.models import NetworkSpec
from invsearch.space import Architecture, Space

__all__ = ["distinct_parts"]

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
    found: dict[str, Part] = {}
    height, width = size
    for architecture in _until_known(space, found):
        for part in network_parts(spec(architecture), height, width):
            found[part.name] = part
        if len(found) > _MOST_PARTS:
            raise InputError(
                f"latency.table: the space has more than {_MOST_PARTS:,} distinct blocks, too"
                " many to measure each: narrow the space, or leave out latency.table"
            )
    return found


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
