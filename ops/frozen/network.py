"""`Frozen`: what `ops.freeze` returns."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn

from ops.eager import recorded

__all__ = ["Frozen"]

FrozenT = TypeVar("FrozenT", bound="Frozen")


class Frozen(nn.Module):
    """A network for inference alone; make one with `ops.freeze`.

    Attributes:
        early: The layers that run for few images at a time, where there are such.
        network: All others.
    """

    early: fx.GraphModule | None

    def __init__(self, network: nn.Module, early: fx.GraphModule | None = None) -> None:
        super().__init__()
        self.early, self.network = early, network
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Any, *rest: Any, **named: Any) -> Any:
        """What the network's own forward takes and returns; images (B, C, H, W)."""
        if isinstance(x, Tensor) and x.dim() == 4 and x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        if self.early is not None:
            x = self._in_waves(self.early, x)
        return self.network(x, *rest, **named)

    def train(self: FrozenT, mode: bool = True) -> FrozenT:
        """Refuses.

        Raises:
            RuntimeError: If `mode` is True: batch norms and weights are one here.
        """
        if mode:
            raise RuntimeError(
                "a frozen network cannot be trained: train the network that ops.freeze was given,"
                " and freeze it again"
            )
        return super().train(mode)

    def _in_waves(self, early: fx.GraphModule, x: Tensor) -> Tensor:
        images = max(1, torch.get_num_threads())
        whole = not isinstance(x, Tensor) or x.dim() != 4 or x.device.type != "cpu" or recorded(x)
        if whole or len(x) <= images or (torch.is_grad_enabled() and x.requires_grad):
            y: Tensor = early(x)
            return y
        return torch.cat([early(wave) for wave in x.split(images)])
