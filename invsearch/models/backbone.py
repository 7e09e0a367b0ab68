"""A network as the backbone of a detector or a segmenter."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from invsearch.models.build import build
from invsearch.models.network import NetworkSpec

__all__ = ["Backbone"]


class Backbone(nn.Module):
    """Stem and stages of a network, without pooling and head.

    Args:
        spec: The network.
        frozen_stages: Number of stages that are not trained; 0 trains all. With any, the stem is
            frozen too, and frozen parts stay in eval mode.

    Attributes:
        channels: Channels of each stage's output.

    Raises:
        InputError: If an operator cannot have the width of its block.
    """

    def __init__(self, spec: NetworkSpec, frozen_stages: int = 0) -> None:
        super().__init__()
        network = build(spec)
        self.stem, self.stages = network.stem, network.stages
        self.channels = tuple(stage.out_channels for stage in spec.stages)
        self.frozen_stages = frozen_stages
        for part in self._frozen():
            part.requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> each stage's output (B, channels[i], h, w)."""
        outputs, x = [], self.stem(images)
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return tuple(outputs)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        number = self.frozen_stages
        return [self.stem, *list(self.stages)[:number]] if number else []
