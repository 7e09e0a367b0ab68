"""A batch norm that no convolution takes in, with the ReLU and the shortcut behind it."""

from __future__ import annotations

from torch import Tensor, nn

from ops.normalise import normalise

__all__ = ["FrozenNorm"]


class FrozenNorm(nn.Module):
    """relu(norm(x) + shortcut) in one pass, such as of an involution's result.

    Args:
        norm: The batch norm, in eval mode.
        in_place: Whether x is nobody else's, to be written into.
    """

    def __init__(self, norm: nn.BatchNorm2d, *, in_place: bool) -> None:
        super().__init__()
        self.norm, self.relu, self.in_place = norm, nn.ReLU(), in_place
        self.eval()

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        return normalise(x, self.norm, self.relu, shortcut, in_place=self.in_place)
