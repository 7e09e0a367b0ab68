"""Validation loss, error and accuracy of a model, each with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.metrics import Fidelity, Metric

__all__ = ["accuracy_metrics", "metrics_of_batches", "score", "wilson_interval"]

_Z = 1.959964  # of a two-sided 95 % interval


def accuracy_metrics(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    fidelity: Fidelity | None = None,
    batch_size: int = 256,
) -> dict[str, Metric]:
    """Evaluate a model as it stands (see :func:`reestimated_batch_norm` for its statistics).

    Args:
        model: In evaluation mode; images (B, C, H, W) -> logits (B, classes).
        images: (N, C, H, W) on the model's device.
        labels: int64 (N,).
        fidelity: Noted in each metric.
        batch_size: Images at a time.

    Returns:
        ``error`` and ``top1`` in percent with Wilson's interval, ``val_loss`` in nats with the
        normal one; ``val_loss`` is left out when it is not finite. An image whose logits are not
        all finite counts as an error.
    """
    return metrics_of_batches(model, _split(images, labels, batch_size), fidelity)


def metrics_of_batches(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], fidelity: Fidelity | None = None
) -> dict[str, Metric]:
    """As :func:`accuracy_metrics`, of images and labels that come batch by batch."""
    losses, hits = _scored(model, batches)
    count = len(losses)
    low, high = wilson_interval(count - int(hits.sum()), count)
    error = 100.0 * (count - int(hits.sum())) / count
    metrics = {
        "error": Metric("error", error, "trained", 100 * low, 100 * high, fidelity),
        "top1": Metric("top1", 100 - error, "trained", 100 - 100 * high, 100 - 100 * low, fidelity),
    }
    mean = float(losses.mean())
    margin = _Z * float(losses.std(correction=min(1, count - 1))) / math.sqrt(count)
    if math.isfinite(mean) and math.isfinite(margin):
        metrics["val_loss"] = Metric(
            "val_loss", mean, "trained", max(0.0, mean - margin), mean + margin, fidelity
        )
    return metrics


def score(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 256
) -> tuple[Tensor, Tensor]:
    """Return each image's loss in float64 and whether its class was found."""
    return _scored(model, _split(images, labels, batch_size))


@torch.no_grad()
def _scored(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    losses, hits = [], []
    for batch, truth in batches:
        logits = model(batch).double()
        losses.append(F.cross_entropy(logits, truth, reduction="none"))
        hits.append((logits.argmax(1) == truth) & logits.isfinite().all(1))
    return torch.cat(losses), torch.cat(hits)


def _split(images: Tensor, labels: Tensor, size: int) -> Iterable[tuple[Tensor, Tensor]]:
    return zip(images.split(size), labels.split(size), strict=True)


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927), inside [0, 1]."""
    share = successes / count
    scale = 1 + _Z**2 / count
    centre = (share + _Z**2 / (2 * count)) / scale
    margin = _Z / scale * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return max(0.0, centre - margin), min(1.0, centre + margin)
