"""Random boxes: of a random share of an image, of random proportions, anywhere in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invsearch.train.augment.drawing import drawn

__all__ = ["Boxes", "random_boxes"]

_ATTEMPTS = 10  # as torchvision's: nine of ten fit at once where the share is small


@dataclass(frozen=True)
class Boxes:
    """A box an image, in pixels; int64 (B,) each.

    Attributes:
        top: Its first row.
        left: Its first column.
        height: Its rows.
        width: Its columns.
        found: Whether a box fitted, bool (B,); where none did it is the whole image.
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    found: Tensor

    def to(self, device: torch.device) -> Boxes:
        """The same boxes on a device."""
        parts = (self.top, self.left, self.height, self.width, self.found)
        return Boxes(*(part.to(device) for part in parts))

    def inside(self, height: int, width: int) -> Tensor:
        """Which pixels lie in the box: bool (B, height, width)."""
        rows = torch.arange(height, device=self.top.device)
        columns = torch.arange(width, device=self.top.device)
        top, left = self.top.unsqueeze(1), self.left.unsqueeze(1)
        in_rows = (rows >= top) & (rows < top + self.height.unsqueeze(1))
        in_columns = (columns >= left) & (columns < left + self.width.unsqueeze(1))
        return in_rows.unsqueeze(2) & in_columns.unsqueeze(1)


def random_boxes(
    shape: Sequence[int],
    generator: torch.Generator,
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> Boxes:
    """Draw a box for each image, as torchvision draws a crop's or an erasing's.

    A share of the area and, by its logarithm, a ratio of width to height are drawn until the box
    fits into the image, ten times at most; then its place, uniformly.

    Args:
        shape: Of the images, (B, C, H, W).
        generator: What is drawn from; always as much.
        area: Least and largest share of the image.
        ratio: Least and largest width as a multiple of the height.

    Returns:
        The boxes, on the generator's device.
    """
    batch, _, height, width = shape
    shares = area[0] + (area[1] - area[0]) * drawn(generator, _ATTEMPTS, batch)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = torch.exp(low + (high - low) * drawn(generator, _ATTEMPTS, batch))
    widths = (shares * height * width * ratios).sqrt().round().long()
    heights = (shares * height * width / ratios).sqrt().round().long()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.to(torch.uint8).argmax(0, keepdim=True)
    found = fits.any(0)
    box_height = torch.where(found, heights.gather(0, first)[0], height)
    box_width = torch.where(found, widths.gather(0, first)[0], width)
    place = drawn(generator, 2, batch)
    top = (place[0] * (height - box_height + 1)).long()
    left = (place[1] * (width - box_width + 1)).long()
    return Boxes(top, left, box_height, box_width, found)
