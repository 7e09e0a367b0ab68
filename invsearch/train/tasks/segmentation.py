"""Segmentation: the class of every pixel."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.data import IGNORED
from invsearch.errors import InputError
from invsearch.metrics import Fidelity, Metric
from invsearch.models.segmenters import Segmenter, pixel_loss
from invsearch.train.tasks.pixels import PixelCounts
from invsearch.train.tasks.task import LearningTask, Outputs

__all__ = ["SEGMENTATION", "judge_pixels"]


class _WithHeads(nn.Module):
    """A segmenter as it is trained, with what only training uses."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.model.outputs(images)


def _form(model: nn.Module) -> nn.Module:
    """One of ours with its auxiliary heads; any other module gives logits and no more."""
    return _WithHeads(model) if isinstance(model, Segmenter) else model


def _loss(outputs: Outputs, masks: Tensor, smoothing: float) -> Tensor:
    """:func:`pixel_loss` of logits (B, classes, h, w) and masks (B, H, W), in nats a pixel."""
    return pixel_loss((outputs,) if isinstance(outputs, Tensor) else outputs, masks, smoothing)


def _pixels(masks: Tensor) -> Tensor:
    """Pixels that have a class; at least 1, as :func:`pixel_loss` divides by."""
    return (masks != IGNORED).sum().clamp_min(1)


@torch.no_grad()
def judge_pixels(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], fidelity: Fidelity | None = None
) -> dict[str, Metric]:
    """Evaluate a segmenter as it stands.

    Args:
        model: In evaluation mode; images (B, C, H, W) -> logits (B, classes, h, w), which are
            resized to the masks' size where theirs is another.
        batches: Images on the model's device and their masks (B, H, W), where
            :data:`invsearch.data.IGNORED` is left out.
        fidelity: Noted in each metric.

    Returns:
        ``miou`` and ``pixel_accuracy`` in percent and ``val_loss`` in nats a pixel, over all pixels
        of the set, each with its jackknife interval over the images; ``val_loss`` is left out when
        it is not finite. ``miou`` has in its detail the ``iou`` of each class, None for one that
        neither occurs nor was found. A pixel whose logits are not all finite counts as wrong.

    Raises:
        InputError: If no pixel has a class.
    """
    counts = PixelCounts.joined([_counted(model(images), masks) for images, masks in batches])
    if not counts.pixels.any():
        raise InputError(f"no pixel is of a class: every mask that is judged by is {IGNORED}")
    return counts.metrics(fidelity)


def _counted(logits: Tensor, masks: Tensor) -> PixelCounts:
    masks = masks.long()
    size = (masks.shape[1], masks.shape[2])
    if logits.shape[2:] != size:
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    return PixelCounts.of(logits.float(), masks)


SEGMENTATION = LearningTask(
    name="segmentation",
    metrics=("val_loss", "miou", "pixel_accuracy"),
    loss=_loss,
    judge=judge_pixels,
    form=_form,
    counted=_pixels,
)
