"""Classification: one class an image."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from invsearch.train.evaluate import metrics_of_batches
from invsearch.train.tasks.task import LearningTask, Outputs

__all__ = ["CLASSIFICATION"]


def _loss(logits: Outputs, targets: Tensor, smoothing: float) -> Tensor:
    """Cross entropy with labels, int64 (B,), or with probabilities (B, classes), in nats."""
    assert isinstance(logits, Tensor)
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


CLASSIFICATION = LearningTask(
    name="classification",
    metrics=("val_loss", "error", "top1"),
    loss=_loss,
    judge=metrics_of_batches,
)
