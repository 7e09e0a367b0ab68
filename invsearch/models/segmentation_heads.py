"""Heads of segmenters: Semantic FPN's, UPerNet's, and the auxiliary one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.models.network import BlockSpec
from invsearch.models.spatial import conv_norm_relu, spatial

__all__ = ["AuxiliaryHead", "SemanticFPNHead", "UPerHead"]

_POOL_SCALES = (1, 2, 3, 6)  # of the pyramid pooling (Zhao et al., PSPNet, CVPR 2017)


class SemanticFPNHead(nn.Module):
    """Bring every level to the finest one's size step by step, add, classify.

    Kirillov et al., CVPR 2019: a level of stride 4 * 2**i takes max(1, i) steps, each an operator
    with batch norm and ReLU, and a bilinear doubling where i > 0.

    Args:
        in_channels: Channels of the levels.
        channels: Channels of the scale heads.
        block: The operator of the scale heads.
        num_classes: Classes.
        num_levels: Levels, of strides 4, 8, ...
        dropout: Probability of dropping a channel before the classifier, while training.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        block: BlockSpec,
        num_classes: int,
        num_levels: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            self._scale(in_channels, channels, block, level) for level in range(num_levels)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.logits = nn.Conv2d(channels, num_classes, 1)

    @staticmethod
    def _scale(in_channels: int, channels: int, block: BlockSpec, level: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for step in range(max(1, level)):
            inputs = in_channels if step == 0 else channels
            layers.append(conv_norm_relu(inputs, channels, spatial(inputs, channels, block)))
            if level > 0:
                layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
        return nn.Sequential(*layers)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels (B, C, h, w), finest first -> logits (B, num_classes, h, w) at the finest size."""
        first, *others = self.scales
        total = first(levels[0])
        for scale, level in zip(others, levels[1:], strict=True):
            total = total + _resize(scale(level), total.shape[2:])
        logits: Tensor = self.logits(self.dropout(total))
        return logits


class UPerHead(nn.Module):
    """Pyramid pooling, a feature pyramid and their fusion (Xiao et al., ECCV 2018).

    Args:
        in_channels: Channels of the backbone's outputs, finest first.
        channels: Channels inside.
        neck: The operator of the pyramid's output layers.
        head: The operator of the two fusing layers: of pooled scales, and of levels.
        num_classes: Classes.
        dropout: As for :class:`SemanticFPNHead`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        neck: BlockSpec,
        head: BlockSpec,
        num_classes: int,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        *finer, last = in_channels
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), conv_norm_relu(last, channels))
            for scale in _POOL_SCALES
        )
        pooled = last + len(_POOL_SCALES) * channels
        self.bottleneck = conv_norm_relu(pooled, channels, spatial(pooled, channels, head))
        self.laterals = nn.ModuleList(conv_norm_relu(c, channels) for c in finer)
        self.outputs = nn.ModuleList(
            conv_norm_relu(channels, channels, spatial(channels, channels, neck)) for _ in finer
        )
        fused = len(in_channels) * channels
        self.fuse = conv_norm_relu(fused, channels, spatial(fused, channels, head))
        self.dropout = nn.Dropout2d(dropout)
        self.logits = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Backbone outputs, finest first -> logits (B, num_classes, h, w) at the finest size."""
        *finer, last = features
        pooled = [_resize(pool(last), last.shape[2:]) for pool in self.pools]
        merged = [lateral(x) for lateral, x in zip(self.laterals, finer, strict=True)]
        merged.append(self.bottleneck(torch.cat([last, *pooled], dim=1)))
        for i in range(len(merged) - 1, 0, -1):
            merged[i - 1] = merged[i - 1] + _resize(merged[i], merged[i - 1].shape[2:])
        levels = [output(x) for output, x in zip(self.outputs, merged[:-1], strict=True)]
        levels.append(merged[-1])
        size = levels[0].shape[2:]
        fused = self.fuse(torch.cat([_resize(x, size) for x in levels], dim=1))
        logits: Tensor = self.logits(self.dropout(fused))
        return logits


class AuxiliaryHead(nn.Module):
    """A small fully convolutional head, for training alone."""

    def __init__(
        self, in_channels: int, channels: int, num_classes: int, dropout: float = 0.1
    ) -> None:
        super().__init__()
        layer = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.hidden = conv_norm_relu(in_channels, channels, layer)
        self.dropout = nn.Dropout2d(dropout)
        self.logits = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> logits (B, num_classes, h, w)."""
        logits: Tensor = self.logits(self.dropout(self.hidden(x)))
        return logits


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
