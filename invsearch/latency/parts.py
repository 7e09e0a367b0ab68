"""The parts of a network that are timed alone: its stem, its blocks and its head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from invsearch.models.network import NetworkSpec, Part

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Part", "build_part", "network_parts"]


def network_parts(spec: NetworkSpec, height: int, width: int) -> Iterator[Part]:
    """The parts of a network on images of height x width pixels, in the order of the pass."""
    return (place.part for place in spec.walk(height, width))


def build_part(part: Part) -> nn.Module:
    """Build a part as a network has it: (B, *shape) -> whatever follows it takes."""
    return part.form.build(part)
