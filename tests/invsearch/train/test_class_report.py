"""What a classifier confuses and how calibrated it is: against scikit-learn and by hand."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import confusion_matrix, top_k_accuracy_score
from torch import Tensor, nn

from invsearch.train.class_report import class_report


def batches(logits: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(logits.split(7), labels.split(7), strict=True))


def test_it_counts_as_scikit_learn_does() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 8, generator=generator)
    labels = torch.arange(50) % 8
    report = class_report(nn.Identity(), batches(logits, labels), 8)
    assert report.images == 50
    assert report.confusion.tolist() == confusion_matrix(labels, logits.argmax(1)).tolist()
    shares = report.shares()
    assert shares["top1"]["value"] == 100 * (logits.argmax(1) == labels).double().mean()
    expected = 100 * top_k_accuracy_score(labels, logits.numpy(), k=5)
    assert shares["top5"]["value"] == pytest.approx(expected)
    assert shares["top5"]["low"] < expected < shares["top5"]["high"]
    assert sum(one.count for one in report.bins) == 50
    true, said, count = report.worst(1)[0]
    assert true != said
    assert count == max(int(report.confusion[a, b]) for a in range(8) for b in range(8) if a != b)


def test_calibration_is_the_gap_of_confidence_and_accuracy() -> None:
    """Four images at .9 of which one is right, six at .6 of which three are."""
    sure = torch.tensor([0.9, 0.1]).log().expand(4, 2)
    unsure = torch.tensor([0.6, 0.4]).log().expand(6, 2)
    labels = torch.tensor([0, 1, 1, 1, 0, 0, 0, 1, 1, 1])
    report = class_report(nn.Identity(), [(torch.cat((sure, unsure)), labels)], 2)
    assert report.ece == pytest.approx((4 * (0.9 - 0.25) + 6 * (0.6 - 0.5)) / 10)
    full = [one for one in report.bins if one.count]
    assert [(one.count, one.accuracy) for one in full] == [(6, 0.5), (4, 0.25)]
    assert all(one.low < one.confidence <= one.high for one in full)


def test_logits_that_are_not_finite_are_never_right() -> None:
    logits = torch.tensor([[float("nan"), 0.0], [0.0, 1.0]])
    report = class_report(nn.Identity(), [(logits, torch.tensor([1, 1]))], 2)
    assert report.shares()["top1"]["value"] == 50
    assert report.top5 == 2, "of two classes the right one is always among five"
