"""Where involution is used: the layers of RedNet-50 at 224 x 224."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REDNET50", "LayerShape"]


@dataclass(frozen=True)
class LayerShape:
    """One involution of the network, or several alike.

    Attributes:
        name: `stem`, `s1` to `s4`, or `s2d` to `s4d` for the stages' first layers, of stride 2.
        channels: C, in and out.
        size: H = W of the input.
        kernel_size: K.
        stride: Of the window.
        repeats: How many layers of the network have this shape.
    """

    name: str
    channels: int
    size: int
    kernel_size: int
    stride: int
    repeats: int

    @property
    def output_size(self) -> int:
        """H = W of the output."""
        return -(-self.size // self.stride)

    def input_shape(self, batch: int) -> tuple[int, int, int, int]:
        """(B, C, H, W)."""
        return batch, self.channels, self.size, self.size


REDNET50: tuple[LayerShape, ...] = (
    LayerShape("stem", 32, 112, 3, 1, 1),
    LayerShape("s1", 64, 56, 7, 1, 3),
    LayerShape("s2d", 128, 56, 7, 2, 1),
    LayerShape("s2", 128, 28, 7, 1, 3),
    LayerShape("s3d", 256, 28, 7, 2, 1),
    LayerShape("s3", 256, 14, 7, 1, 5),
    LayerShape("s4d", 512, 14, 7, 2, 1),
    LayerShape("s4", 512, 7, 7, 1, 2),
)
"""The 17 involutions in the order of the network; the stem's window, 3, is the released code's."""
