"""Semantic FPN and UPerNet around any backbone, neck and head operator."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.errors import InputError, nearest
from invsearch.metrics import IGNORED
from invsearch.models.backbone import Backbone
from invsearch.models.fpn import FPN
from invsearch.models.segmentation_heads import AuxiliaryHead, SemanticFPNHead, UPerHead
from invsearch.models.task import SEGMENTERS, TaskSpec

__all__ = ["Segmenter", "SemanticFPN", "UPerNet", "build_segmenter", "pixel_loss"]

_AUXILIARY_WEIGHT = 0.4  # PSPNet's, and mmsegmentation's for UPerNet
_AUXILIARY_STAGE = -2  # the third of four stages, as there


def pixel_loss(outputs: Sequence[Tensor], labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy of the pixels, plus 0.4 times that of each auxiliary head.

    Args:
        outputs: Logits (B, classes, h, w) each, the auxiliary heads' last; they are resized to the
            labels' size.
        labels: (B, H, W), of any integer type; 255 is left out.
        smoothing: Of the labels, in [0, 1).

    Returns:
        A scalar, in nats; 0 where every pixel is left out.
    """
    labels = labels.long()
    counted = (labels != IGNORED).sum().clamp_min(1)
    losses = [
        F.cross_entropy(
            _resized(logits, labels.shape[1:]),
            labels,
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=smoothing,
        )
        / counted
        for logits in outputs
    ]
    return losses[0] + _AUXILIARY_WEIGHT * sum(losses[1:], losses[0].new_zeros(()))


class Segmenter(nn.Module):
    """What segmenters share: logits at the image's size, and their loss."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, num_classes, H, W)."""
        return _resized(self._logits(self._features(images)), images.shape[2:])

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of the pixels.

        Args:
            images: (B, C, H, W).
            labels: (B, H, W), int64; 255 is left out.

        Returns:
            A scalar, in nats.
        """
        return pixel_loss(self.outputs(images), labels)

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """What training learns from.

        Args:
            images: (B, C, H, W).

        Returns:
            Logits (B, num_classes, h, w) at their own stride, the auxiliary head's last.
        """
        return (self._logits(self._features(images)),)

    def _features(self, images: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _logits(self, features: tuple[Tensor, ...]) -> Tensor:
        raise NotImplementedError


class SemanticFPN(Segmenter):
    """A feature pyramid with scale heads (Kirillov et al., CVPR 2019).

    Args:
        spec: What to build.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.backbone = Backbone(spec.backbone, spec.frozen_stages)
        self.neck = FPN(self.backbone.channels, spec.channels, spec.neck)
        self.head = SemanticFPNHead(spec.channels, spec.head_channels, spec.head, spec.num_classes)

    def _features(self, images: Tensor) -> tuple[Tensor, ...]:
        features: tuple[Tensor, ...] = self.backbone(images)
        return features

    def _logits(self, features: tuple[Tensor, ...]) -> Tensor:
        logits: Tensor = self.head(self.neck(features))
        return logits


class UPerNet(Segmenter):
    """Unified perceptual parsing (Xiao et al., ECCV 2018), with an auxiliary head for training.

    Args:
        spec: What to build.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.backbone = Backbone(spec.backbone, spec.frozen_stages)
        channels = self.backbone.channels
        self.head = UPerHead(channels, spec.channels, spec.neck, spec.head, spec.num_classes)
        self.auxiliary_head = AuxiliaryHead(
            channels[_AUXILIARY_STAGE], spec.head_channels, spec.num_classes
        )

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self._features(images)
        return self._logits(features), self.auxiliary_head(features[_AUXILIARY_STAGE])

    def _features(self, images: Tensor) -> tuple[Tensor, ...]:
        features: tuple[Tensor, ...] = self.backbone(images)
        return features

    def _logits(self, features: tuple[Tensor, ...]) -> Tensor:
        logits: Tensor = self.head(features)
        return logits


def build_segmenter(spec: TaskSpec) -> SemanticFPN | UPerNet:
    """Build the segmenter that a spec describes, freshly initialised.

    Raises:
        InputError: If the spec is no segmenter's, or an operator cannot have its width.
    """
    if spec.task == "semantic_fpn":
        return SemanticFPN(spec)
    if spec.task == "upernet":
        return UPerNet(spec)
    raise InputError(
        f"{spec.task!r} is no segmenter: choose from {list(SEGMENTERS)}"
        f"{nearest(spec.task, SEGMENTERS)}"
    )


def _resized(logits: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(logits.shape[2:]) == tuple(size):
        return logits
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)
