"""The feature pyramid network (Lin et al., CVPR 2017), with any operator in its output layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.models.network import BlockSpec
from invsearch.models.spatial import spatial, with_bias

__all__ = ["FPN"]


class FPN(nn.Module):
    """Laterals, a top-down path of nearest interpolation, an operator on each level.

    Args:
        in_channels: Channels of the backbone's outputs, finest first.
        channels: Channels of every level.
        block: The operator of the output layers; a convolution has a bias there.
        extra: Levels above the backbone's: ``none``; ``pool``, one more by subsampling the coarsest
            output (Faster R-CNN); ``convolution``, two more by 3x3 convolutions of stride 2 from
            the backbone's last output (RetinaNet).

    Raises:
        InputError: If the operator cannot have this number of channels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        block: BlockSpec,
        extra: Literal["none", "pool", "convolution"] = "none",
    ) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.outputs = nn.ModuleList(
            with_bias(spatial(channels, channels, block)) for _ in in_channels
        )
        self.subsample = extra == "pool"
        inputs = (in_channels[-1], channels) if extra == "convolution" else ()
        self.extras = nn.ModuleList(nn.Conv2d(c, channels, 3, 2, 1) for c in inputs)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Backbone outputs, finest first -> levels (B, channels, h, w), finest first."""
        merged = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            finer = merged[i - 1]
            merged[i - 1] = finer + F.interpolate(merged[i], size=finer.shape[2:])
        levels = [output(x) for output, x in zip(self.outputs, merged, strict=True)]
        if self.subsample:
            levels.append(levels[-1][:, :, ::2, ::2])
        x = features[-1]
        for convolution in self.extras:
            x = convolution(x)
            levels.append(x)
        return tuple(levels)
