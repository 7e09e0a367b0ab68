"""What comes out of each stage of a network."""

from __future__ import annotations

from torch import Tensor

from invsearch.models import Network


def stage_outputs(network: Network, images: Tensor) -> tuple[Tensor, ...]:
    """(B, channels, h, w) of each stage, for images (B, C, H, W)."""
    outputs, x = [], network.stem(images)
    for stage in network.stages:
        x = stage(x)
        outputs.append(x)
    return tuple(outputs)
