"""RoIAlign in plain torch: against a slow loop, against torchvision, and its levels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from invsearch.models.roi_align import pyramid_levels, roi_align
from invsearch.models.torchvision_ops import has_torchvision_ops

STRIDES = (4, 8)
BOXES = torch.tensor(
    [
        [[3.0, 5.0, 40.0, 61.0], [0.0, 0.0, 130.0, 120.0], [-9.0, 20.0, 200.0, 90.0]],
        [[10.5, 2.25, 11.0, 3.0], [20.0, 20.0, 20.0, 20.0], [60.0, 40.0, 127.9, 95.9]],
    ]
)


@pytest.fixture
def pyramid() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 96 // stride, 128 // stride) for stride in STRIDES]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def bilinear(image: Tensor, y: float, x: float) -> Tensor:
    """One sample of (C, H, W), as the paper's RoIAlign takes it."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros_like(image[:, 0, 0])
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    top, left = math.floor(y), math.floor(x)
    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    upper = image[:, top, left] * (1 - dx) + image[:, top, right] * dx
    lower = image[:, low, left] * (1 - dx) + image[:, low, right] * dx
    return upper * (1 - dy) + lower * dy


def reference(levels: list[Tensor], boxes: Tensor, size: int, samples: int) -> Tensor:
    crops = []
    for image in range(boxes.shape[0]):
        for box in boxes[image].tolist():
            side = math.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 0))
            level = 0 if side < 112 else 1
            x1, y1, x2, y2 = (value / STRIDES[level] for value in box)
            crop = torch.zeros(3, size, size, dtype=torch.float64)
            for row in range(size):
                for column in range(size):
                    for i in range(samples):
                        for j in range(samples):
                            y = y1 - 0.5 + (row + (i + 0.5) / samples) * (y2 - y1) / size
                            x = x1 - 0.5 + (column + (j + 0.5) / samples) * (x2 - x1) / size
                            sample = bilinear(levels[level][image], y, x)
                            crop[:, row, column] += sample / samples**2
            crops.append(crop)
    return torch.stack(crops)


@pytest.mark.parametrize(("size", "samples"), [(3, 2), (2, 1)])
def test_equals_the_slow_reference(pyramid: list[Tensor], size: int, samples: int) -> None:
    """Boxes of two images, on two levels, over the border, and of no size."""
    boxes = BOXES.double()
    crops = roi_align(pyramid, boxes, size, STRIDES, samples=samples, backend="torch")
    assert crops.shape == (6, 3, size, size)
    torch.testing.assert_close(crops, reference(pyramid, boxes, size, samples))


def test_equals_torchvision(pyramid: list[Tensor]) -> None:
    """Where torchvision is installed its kernel is used, so the two must be one function."""
    if not has_torchvision_ops():
        pytest.skip("torchvision is not installed, or not built for this torch")
    ours = roi_align(pyramid, BOXES.double(), 7, STRIDES, backend="torch")
    theirs = roi_align(pyramid, BOXES.double(), 7, STRIDES, backend="torchvision")
    torch.testing.assert_close(ours, theirs)


def test_gradients_reach_the_features(pyramid: list[Tensor]) -> None:
    """A detector trains through its crops."""
    levels = [x.requires_grad_() for x in pyramid]
    roi_align(levels, BOXES.double(), 3, STRIDES, backend="torch").sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in levels)


def test_boxes_go_to_the_level_of_their_size() -> None:
    """One level coarser with each doubling of the side, from 112 pixels on."""
    sides = torch.tensor([1.0, 111.0, 112.5, 223.0, 225.0, 449.0, 9999.0])
    boxes = torch.stack([torch.zeros(7), torch.zeros(7), sides, sides], dim=1)[None]
    assert pyramid_levels(boxes, 4).tolist() == [[0, 0, 1, 1, 2, 3, 3]]


def test_a_torchvision_of_another_torch_is_none(pyramid: list[Tensor]) -> None:
    """Installed or not, whole or not: without a back end by name, crops are made."""
    found = roi_align(pyramid, BOXES.double(), 7, STRIDES)
    own = roi_align(pyramid, BOXES.double(), 7, STRIDES, backend="torch")
    torch.testing.assert_close(found, own)
