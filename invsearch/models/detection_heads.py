"""Heads of detectors: region proposals, boxes, masks, and RetinaNet's dense one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.models.network import BlockSpec
from invsearch.models.spatial import spatial, with_bias

__all__ = ["BoxHead", "MaskHead", "RegionProposalHead", "RetinaHead"]

Levels = tuple[Tensor, ...]

_PRIOR = 0.01  # probability of an object with which the dense classifier starts


class RegionProposalHead(nn.Module):
    """Objectness and offsets of the anchors of every level (Ren et al., NeurIPS 2015).

    Args:
        channels: Channels of the levels.
        block: The operator before the two 1x1 convolutions.
        num_anchors: Anchors a position.
    """

    def __init__(self, channels: int, block: BlockSpec, num_anchors: int = 3) -> None:
        super().__init__()
        self.operator = with_bias(spatial(channels, channels, block))
        self.objectness = nn.Conv2d(channels, num_anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * num_anchors, 1)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Levels, Levels]:
        """Levels (B, C, h, w) -> objectness (B, A, h, w) and offsets (B, 4 * A, h, w) of each."""
        hidden = [F.relu(self.operator(x)) for x in levels]
        return tuple(map(self.objectness, hidden)), tuple(map(self.deltas, hidden))


class BoxHead(nn.Module):
    """Class and box of each region by two hidden linear layers.

    Args:
        channels: Channels of the crops.
        size: Side of the crops.
        num_classes: Classes; the background comes on top.
        hidden: Width of the hidden layers.
    """

    def __init__(self, channels: int, num_classes: int, size: int = 7, hidden: int = 1024) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * size * size, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.logits = nn.Linear(hidden, num_classes + 1)
        self.deltas = nn.Linear(hidden, 4 * num_classes)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (N, C, size, size) -> (N, num_classes + 1), background last; (N, 4 * classes)."""
        hidden = self.layers(crops.flatten(1))
        return self.logits(hidden), self.deltas(hidden)


class MaskHead(nn.Module):
    """A mask of each class for each region (He et al., ICCV 2017).

    Args:
        channels: Channels of the crops.
        block: The operator of the four hidden layers.
        num_classes: Classes.
    """

    def __init__(self, channels: int, block: BlockSpec, num_classes: int) -> None:
        super().__init__()
        self.layers = _tower(channels, block)
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.logits = nn.Conv2d(channels, num_classes, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (N, C, s, s) -> mask logits (N, num_classes, 2 * s, 2 * s)."""
        logits: Tensor = self.logits(self.relu(self.upsample(self.layers(crops))))
        return logits


class RetinaHead(nn.Module):
    """Class and box of every anchor, with shared towers for all levels (Lin et al., ICCV 2017).

    Args:
        channels: Channels of the levels.
        block: The operator of the four layers of each tower.
        num_classes: Classes; there is no background.
        num_anchors: Anchors a position.
    """

    def __init__(
        self, channels: int, block: BlockSpec, num_classes: int, num_anchors: int = 9
    ) -> None:
        super().__init__()
        self.class_tower, self.box_tower = _tower(channels, block), _tower(channels, block)
        self.logits = nn.Conv2d(channels, num_anchors * num_classes, 3, padding=1)
        self.deltas = nn.Conv2d(channels, num_anchors * 4, 3, padding=1)
        assert self.logits.bias is not None
        nn.init.constant_(self.logits.bias, -math.log((1 - _PRIOR) / _PRIOR))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Levels, Levels]:
        """Levels (B, C, h, w) -> logits (B, A * classes, h, w) and offsets (B, A * 4, h, w)."""
        logits = tuple(self.logits(self.class_tower(x)) for x in levels)
        return logits, tuple(self.deltas(self.box_tower(x)) for x in levels)


def _tower(channels: int, block: BlockSpec) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(4):
        layers += [with_bias(spatial(channels, channels, block)), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
