"""Semantic FPN and UPerNet around any backbone, neck and head operator."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.errors import InputError, nearest
from invsearch.models.backbone import Backbone
from invsearch.models.fpn import FPN
from invsearch.models.segmentation_heads import AuxiliaryHead, SemanticFPNHead, UPerHead
from invsearch.models.task import SEGMENTERS, TaskSpec

__all__ = ["SemanticFPN", "UPerNet", "build_segmenter"]

IGNORED = 255
"""The label of pixels that the loss leaves out."""

_AUXILIARY_WEIGHT = 0.4  # PSPNet's, and mmsegmentation's for UPerNet
_AUXILIARY_STAGE = -2  # the third of four stages, as there


class _Segmenter(nn.Module):
    """What segmenters share: logits at the image's size, and their loss."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, num_classes, H, W)."""
        return self._at_size(self._logits(self._features(images)), images)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of the pixels.

        Args:
            images: (B, C, H, W).
            labels: (B, H, W), int64; 255 is left out.

        Returns:
            A scalar, in nats.
        """
        logits = self._logits(self._features(images))
        return F.cross_entropy(self._at_size(logits, images), labels, ignore_index=IGNORED)

    def _features(self, images: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _logits(self, features: tuple[Tensor, ...]) -> Tensor:
        raise NotImplementedError

    @staticmethod
    def _at_size(logits: Tensor, images: Tensor) -> Tensor:
        size = images.shape[2:]
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


class SemanticFPN(_Segmenter):
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


class UPerNet(_Segmenter):
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

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of the pixels, plus 0.4 times that of the auxiliary head."""
        features = self._features(images)
        auxiliary = self.auxiliary_head(features[_AUXILIARY_STAGE])
        losses = [
            F.cross_entropy(self._at_size(logits, images), labels, ignore_index=IGNORED)
            for logits in (self._logits(features), auxiliary)
        ]
        return losses[0] + _AUXILIARY_WEIGHT * losses[1]

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
