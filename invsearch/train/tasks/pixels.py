"""PixelCounts: what a segmenter found of the pixels of each image, and the metrics that follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from invsearch.data import IGNORED
from invsearch.metrics import Fidelity, Metric

__all__ = ["PixelCounts"]

_Z = 1.959964  # of a two-sided 95 % interval


@dataclass(frozen=True)
class PixelCounts:
    """Counts of the pixels that have a class, image by image, on the CPU.

    Of a confusion matrix of all pixels, ``hits`` adds up to the diagonal, ``truth`` to the sums
    over what was found, ``found`` to those over the truth; no metric here needs more of it, and
    with a row for each image it can be had without any one of them.

    Attributes:
        hits: Pixels of each class that were found to be of it; int64 (N, classes).
        truth: Pixels of each class; int64 (N, classes).
        found: Pixels found to be of each class; int64 (N, classes).
        loss: The sum of the pixels' cross entropies, in nats; float64 (N,).
    """

    hits: Tensor
    truth: Tensor
    found: Tensor
    loss: Tensor

    @classmethod
    def of(cls, logits: Tensor, masks: Tensor) -> PixelCounts:
        """Count a batch.

        Args:
            logits: float32 (B, classes, H, W); a pixel where one is not finite is of no class.
            masks: int64 (B, H, W).
        """
        classes, there = logits.shape[1], masks != IGNORED
        found = logits.argmax(1).masked_fill(~logits.isfinite().all(1), classes)
        losses = F.cross_entropy(logits, masks, ignore_index=IGNORED, reduction="none")
        return cls(
            _per_class(found, there & (found == masks), classes),
            _per_class(masks, there, classes),
            _per_class(found, there, classes),
            losses.double().sum((1, 2)).cpu(),
        )

    @classmethod
    def joined(cls, parts: Sequence[PixelCounts]) -> PixelCounts:
        """The counts of several batches as one's."""
        names = [one.name for one in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    @property
    def pixels(self) -> Tensor:
        """Pixels of each image that have a class; int64 (N,)."""
        return self.truth.sum(1)

    def metrics(self, fidelity: Fidelity | None = None) -> dict[str, Metric]:
        """See :func:`invsearch.train.tasks.segmentation.judge_pixels`."""
        iou = _iou(*self._totals()[:3]).tolist()
        detail = {"iou": [None if math.isnan(share) else 100 * share for share in iou]}
        metrics = {
            "miou": self._metric("miou", _miou, fidelity, 100.0),
            "pixel_accuracy": self._metric("pixel_accuracy", _accuracy, fidelity, 100.0),
        }
        metrics["miou"] = Metric(**{**vars(metrics["miou"]), "detail": detail})
        if bool(self.loss.isfinite().all()):
            metrics["val_loss"] = self._metric("val_loss", _loss, fidelity, math.inf)
        return metrics

    def _totals(self) -> list[Tensor]:
        return [getattr(self, one.name).double().sum(0) for one in fields(self)]

    def _metric(
        self, name: str, of: Callable[..., Tensor], fidelity: Fidelity | None, most: float
    ) -> Metric:
        """A figure of the whole set; its standard error is the jackknife's over the images.

        The figure is no mean over the images, but a ratio of sums over them (or a mean of such):
        it is taken of the set without each image in turn (Efron and Stein, 1981). Of one image
        there is no interval.
        """
        totals, count = self._totals(), len(self.loss)
        value = float(of(*totals))
        if count == 1:
            return Metric(name, value, "trained", fidelity=fidelity)
        kept = [one - getattr(self, f.name) for one, f in zip(totals, fields(self), strict=True)]
        without = of(*kept)
        without = without[without.isfinite()]  # not without the only image that has a class
        if len(without) < 2:
            return Metric(name, value, "trained", fidelity=fidelity)
        margin = _Z * math.sqrt((count - 1) * float(without.var(correction=0)))
        return Metric(
            name,
            value,
            "trained",
            max(0.0, value - margin),
            min(most, value + margin),
            fidelity,
        )


def _per_class(classes: Tensor, there: Tensor, number: int) -> Tensor:
    """How many pixels of each image are of each class; int64 (B, number), on the CPU.

    Args:
        classes: int64 (B, H, W), from 0; ``number`` and above are of none.
        there: Which pixels count, bool (B, H, W).
    """
    batch = len(classes)
    slots = classes.masked_fill(~there, number).clamp_max(number)
    slots = slots + (number + 1) * torch.arange(batch, device=slots.device).view(-1, 1, 1)
    counts = slots.flatten().bincount(minlength=batch * (number + 1))
    return counts.view(batch, number + 1)[:, :number].cpu()


def _iou(hits: Tensor, truth: Tensor, found: Tensor) -> Tensor:
    """Intersection over union of each class; nan for one that neither occurs nor was found."""
    return hits / (truth + found - hits)


def _miou(hits: Tensor, truth: Tensor, found: Tensor, loss: Tensor) -> Tensor:
    return 100 * _iou(hits, truth, found).nanmean(-1)


def _accuracy(hits: Tensor, truth: Tensor, found: Tensor, loss: Tensor) -> Tensor:
    return 100 * hits.sum(-1) / truth.sum(-1)


def _loss(hits: Tensor, truth: Tensor, found: Tensor, loss: Tensor) -> Tensor:
    return loss / truth.sum(-1)
