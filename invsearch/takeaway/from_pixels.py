"""FromPixels: a network that takes pixels, with the normalisation of its images in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from invsearch.errors import InputError

__all__ = ["FromPixels"]


class FromPixels(nn.Module):
    """Normalises pixels, then does what a network does.

    Args:
        network: Takes normalised images (B, C, H, W).
        normalisation: ``mean`` and ``deviation`` of each channel, in pixels' units, as
            ``config.json`` has them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, normalisation: Mapping[str, list[float]]) -> None:
        super().__init__()
        self.network = network
        for name in ("mean", "deviation"):
            values = torch.tensor(normalisation[name], dtype=torch.float32)
            self.register_buffer(name, values.view(1, -1, 1, 1))

    @classmethod
    def of(cls, network: nn.Module, config: Mapping[str, Any]) -> FromPixels:
        """The network of a ``config.json``.

        Raises:
            InputError: If that does not say what its images were normalised by.
        """
        normalisation = config.get("normalisation")
        if not normalisation:
            raise InputError(
                "--pixels puts the normalisation of the training's images into the file, and here "
                "is none: export a network that was trained and kept, with --weights FOLDER"
            )
        return cls(network, normalisation)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network((images - self.mean) / self.deviation)
        return logits

    def pixels(self, images: Tensor) -> Tensor:
        """Normalised images as the pixels that they are of."""
        return images * self.deviation + self.mean
