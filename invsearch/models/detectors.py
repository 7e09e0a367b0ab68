"""RetinaNet, Faster R-CNN and Mask R-CNN around any backbone, neck and head operator."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from invsearch.errors import InputError, nearest
from invsearch.models.anchors import anchors, decode
from invsearch.models.backbone import Backbone
from invsearch.models.detection_heads import BoxHead, MaskHead, RegionProposalHead, RetinaHead
from invsearch.models.fpn import FPN
from invsearch.models.roi_align import roi_align
from invsearch.models.task import DETECTORS, TaskSpec

__all__ = [
    "DenseBoxes",
    "FasterRCNN",
    "Masks",
    "RegionBoxes",
    "RetinaNet",
    "build_detector",
]

_STRIDES = (4, 8, 16, 32, 64)  # of levels 2 to 6 (Lin et al., FPN, CVPR 2017)
_BOX_DELTA_SCALE = 0.1  # Fast R-CNN's: a box head's offsets are a tenth of the anchors'


class DenseBoxes(NamedTuple):
    """Raw predictions of RetinaNet, a tensor for each of the levels 3 to 7.

    Attributes:
        logits: (B, 9 * num_classes, h, w).
        deltas: (B, 9 * 4, h, w), offsets from the anchors.
    """

    logits: tuple[Tensor, ...]
    deltas: tuple[Tensor, ...]


class RegionBoxes(NamedTuple):
    """Raw predictions of Faster R-CNN; N regions of each image.

    Attributes:
        objectness: Of the anchors of levels 2 to 6: (B, 3, h, w) each.
        anchor_deltas: (B, 12, h, w) each.
        proposals: (B, N, 4): x1, y1, x2, y2, in pixels.
        logits: (B, N, num_classes + 1), background last.
        deltas: (B, N, num_classes, 4), offsets from the proposals.
    """

    objectness: tuple[Tensor, ...]
    anchor_deltas: tuple[Tensor, ...]
    proposals: Tensor
    logits: Tensor
    deltas: Tensor


class Masks(NamedTuple):
    """Raw predictions of Mask R-CNN: those of Faster R-CNN, and M masks of each image.

    Attributes:
        boxes: Of Faster R-CNN.
        regions: (B, M, 4), the refined boxes of the best regions.
        mask_logits: (B, M, num_classes, 28, 28).
    """

    boxes: RegionBoxes
    regions: Tensor
    mask_logits: Tensor


class RetinaNet(nn.Module):
    """One-stage detector on levels 3 to 7 (Lin et al., ICCV 2017).

    Args:
        spec: What to build; ``frozen_stages`` of its backbone are not trained.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.backbone = Backbone(spec.backbone, spec.frozen_stages)
        self.neck = FPN(self.backbone.channels[1:], spec.channels, spec.neck, "convolution")
        self.head = RetinaHead(spec.channels, spec.head, spec.num_classes)

    def forward(self, images: Tensor) -> DenseBoxes:
        """Images (B, C, H, W) -> raw predictions."""
        return DenseBoxes(*self.head(self.neck(self.backbone(images)[1:])))


class FasterRCNN(nn.Module):
    """Two-stage detector on levels 2 to 6, of which 2 to 5 give the crops.

    Regions are the best proposals by objectness; non-maximum suppression is left to the user of
    the raw predictions, so that every shape is known beforehand. Where an image has fewer anchors
    than ``regions``, all are regions.

    Args:
        spec: What to build; ``frozen_stages`` of its backbone are not trained.
        regions: Regions of each image that the box head looks at.
        mask_regions: Those of them that the mask head looks at, where there is one.
    """

    def __init__(self, spec: TaskSpec, *, regions: int = 1000, mask_regions: int = 100) -> None:
        super().__init__()
        self.regions, self.mask_regions = regions, mask_regions
        self.num_classes = spec.num_classes
        self.backbone = Backbone(spec.backbone, spec.frozen_stages)
        self.neck = FPN(self.backbone.channels, spec.channels, spec.neck, "pool")
        self.proposal_head = RegionProposalHead(spec.channels, spec.head)
        self.box_head = BoxHead(spec.channels, spec.num_classes)
        self.mask_head = (
            MaskHead(spec.channels, spec.head, spec.num_classes)
            if spec.task == "mask_rcnn"
            else None
        )

    def forward(self, images: Tensor) -> RegionBoxes | Masks:
        """Images (B, C, H, W) -> raw predictions; Masks with a mask head."""
        height, width = images.shape[2:]
        levels = self.neck(self.backbone(images))
        objectness, deltas = self.proposal_head(levels)
        proposals = self._propose(objectness, deltas, height, width).detach()
        crops = roi_align(levels[:4], proposals, 7, _STRIDES[:4])
        logits, box_deltas = self.box_head(crops)
        batch, number, _ = proposals.shape
        boxes = RegionBoxes(
            objectness,
            deltas,
            proposals,
            logits.view(batch, number, -1),
            box_deltas.view(batch, number, self.num_classes, 4),
        )
        return boxes if self.mask_head is None else self._mask(levels, boxes, height, width)

    def _propose(
        self,
        objectness: tuple[Tensor, ...],
        deltas: tuple[Tensor, ...],
        height: int,
        width: int,
    ) -> Tensor:
        scores, boxes = [], []
        for score, delta, stride in zip(objectness, deltas, _STRIDES, strict=True):
            h, w = score.shape[2:]
            grid = anchors(h, w, stride, sizes=(8.0 * stride,), device=score.device)
            offsets = delta.permute(0, 2, 3, 1).reshape(delta.shape[0], -1, 4)
            boxes.append(decode(grid.to(offsets.dtype), offsets, height, width))
            scores.append(score.permute(0, 2, 3, 1).flatten(1))
        every, score = torch.cat(boxes, dim=1), torch.cat(scores, dim=1)
        best = score.topk(min(self.regions, score.shape[1]), dim=1).indices
        return _take(every, best)

    def _mask(
        self, levels: tuple[Tensor, ...], boxes: RegionBoxes, height: int, width: int
    ) -> Masks:
        assert self.mask_head is not None
        score, label = boxes.logits.softmax(2)[..., :-1].max(2)
        best = score.topk(min(self.mask_regions, score.shape[1]), dim=1).indices
        index = label.gather(1, best)[..., None, None].expand(-1, -1, 1, 4)
        deltas = _take(boxes.deltas.flatten(2), best).unflatten(2, (-1, 4))
        chosen = deltas.gather(2, index)[:, :, 0]
        proposals = _take(boxes.proposals, best)
        regions = decode(proposals, chosen, height, width, _BOX_DELTA_SCALE).detach()
        masks = self.mask_head(roi_align(levels[:4], regions, 14, _STRIDES[:4]))
        return Masks(boxes, regions, masks.unflatten(0, regions.shape[:2]))


def build_detector(
    spec: TaskSpec, *, regions: int = 1000, mask_regions: int = 100
) -> RetinaNet | FasterRCNN:
    """Build the detector that a spec describes, freshly initialised.

    Args:
        spec: What to build.
        regions: Regions of each image for the box head (two-stage detectors).
        mask_regions: Regions of each image for the mask head (Mask R-CNN).

    Raises:
        InputError: If the spec is no detector's, or an operator cannot have its width.
    """
    if spec.task == "retinanet":
        return RetinaNet(spec)
    if spec.task in DETECTORS:
        return FasterRCNN(spec, regions=regions, mask_regions=mask_regions)
    raise InputError(
        f"{spec.task!r} is no detector: choose from {list(DETECTORS)}"
        f"{nearest(spec.task, DETECTORS)}"
    )


def _take(values: Tensor, index: Tensor) -> Tensor:
    """(B, N, D) at (B, M) -> (B, M, D)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))
