"""ClassReport: what a classifier confuses, and how far its confidence can be believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from invsearch.train.evaluate import wilson_interval

__all__ = ["Bin", "ClassReport", "class_report"]

_BINS = 15  # of confidence, as in Guo et al., 2017
_BEST = 5  # classes that may hold the right one


@dataclass(frozen=True)
class Bin:
    """The images whose confidence is in ``(low, high]``.

    Attributes:
        low: Confidence from here.
        high: Up to here.
        count: Images.
        confidence: Their mean confidence; nan without any.
        accuracy: The share of them that is right; nan without any.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ClassReport:
    """What a classifier does on a set of images.

    Attributes:
        confusion: int64 (classes, classes): images by their class (row) and by what was said.
        top5: Images whose class is among the five likeliest (of fewer classes, among all).
        bins: By confidence; the confidence is the largest softmax.
    """

    confusion: Tensor
    top5: int
    bins: tuple[Bin, ...]

    @property
    def images(self) -> int:
        return int(self.confusion.sum())

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean gap of confidence and accuracy (Guo et al.)."""
        gaps = [b.count * abs(b.confidence - b.accuracy) for b in self.bins if b.count]
        return float(sum(gaps) / self.images)

    def shares(self) -> dict[str, dict[str, float]]:
        """``top1`` and ``top5`` in percent, each with its 95 % interval (Wilson's)."""
        found = {}
        for name, hits in (("top1", int(self.confusion.trace())), ("top5", self.top5)):
            low, high = wilson_interval(hits, self.images)
            value = 100 * hits / self.images
            found[name] = {"value": value, "low": 100 * low, "high": 100 * high}
        return found

    def worst(self, count: int) -> list[tuple[int, int, int]]:
        """The classes confused most often: class, what was said, how often."""
        wrong = self.confusion.clone()
        wrong.fill_diagonal_(0)
        values, places = wrong.flatten().topk(min(count, wrong.numel()))
        width = len(wrong)
        return [
            (int(place) // width, int(place) % width, int(value))
            for value, place in zip(values, places, strict=True)
            if value > 0
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.shares(),
            "confusion": self.confusion.tolist(),
            "calibration": {
                "ece": self.ece,
                "bins": [vars(one) for one in self.bins if one.count],
            },
        }


@torch.no_grad()
def class_report(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], classes: int
) -> ClassReport:
    """Judge a classifier as it stands.

    Args:
        model: In evaluation mode; images (B, C, H, W) -> logits (B, classes).
        batches: Images on the model's device and their labels, int64 (B,).
        classes: How many there are.
    """
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    top5, confidences, hits = 0, [], []
    for images, labels in batches:
        likely = model(images).double().softmax(1).nan_to_num(0.0).cpu()
        truth = labels.cpu()
        confidence, said = likely.max(1)
        confusion += torch.bincount(truth * classes + said, minlength=classes**2).view(
            classes, classes
        )
        best = likely.topk(min(_BEST, classes), dim=1).indices
        top5 += int((best == truth.unsqueeze(1)).any(1).sum())
        confidences.append(confidence)
        hits.append(said == truth)
    return ClassReport(confusion, top5, _binned(torch.cat(confidences), torch.cat(hits)))


def _binned(confidence: Tensor, hits: Tensor) -> tuple[Bin, ...]:
    places = (confidence * _BINS).ceil().long().sub(1).clamp(0, _BINS - 1)
    count = torch.bincount(places, minlength=_BINS)
    believed = torch.bincount(places, confidence, minlength=_BINS) / count
    right = torch.bincount(places, hits.double(), minlength=_BINS) / count
    rows = zip(count.tolist(), believed.tolist(), right.tolist(), strict=True)
    return tuple(Bin(i / _BINS, (i + 1) / _BINS, *row) for i, row in enumerate(rows))
