"""Evaluation: intervals, re-estimated batch norm, augmentation."""

import math

import pytest
import torch
from torch import nn

from invsearch.train import accuracy_metrics, reestimated_batch_norm
from invsearch.train.augment import augment, cut_out
from invsearch.train.evaluate import wilson_interval


class Fixed(nn.Module):
    """Its images are its logits."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [(10, 500, (0.010903, 0.036407)), (0, 500, (0.0, 0.007624)), (500, 500, (0.992376, 1.0))],
)
def test_wilson_interval_is_the_known_one(
    successes: int, count: int, expected: tuple[float, float]
) -> None:
    assert wilson_interval(successes, count) == pytest.approx(expected, abs=2e-5)


def test_metrics_are_the_textbook_ones() -> None:
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    truth = torch.tensor([0, 0, 1, 1])
    metrics = accuracy_metrics(Fixed(), logits.view(4, 2, 1, 1), truth, batch_size=3)
    right, wrong = math.log1p(math.exp(-2)), math.log1p(math.exp(2))
    assert metrics["error"].value == 25
    assert metrics["top1"].value == 75
    assert metrics["val_loss"].value == pytest.approx((3 * right + wrong) / 4)
    high = metrics["val_loss"].high
    assert high is not None
    assert high - metrics["val_loss"].value == pytest.approx(1.959964 * (wrong - right) / 4)


def test_images_with_logits_that_are_not_finite_are_errors() -> None:
    logits = torch.full((4, 2, 1, 1), math.nan)
    metrics = accuracy_metrics(Fixed(), logits, torch.zeros(4, dtype=torch.long))
    assert metrics["error"].value == 100
    assert "val_loss" not in metrics


def test_huge_finite_logits_still_have_a_loss() -> None:
    logits = torch.tensor([[3e38, -3e38]]).view(1, 2, 1, 1)
    assert "val_loss" in accuracy_metrics(Fixed(), logits, torch.tensor([1]))


def test_statistics_are_those_of_the_batches_and_then_restored() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    norm(torch.randn(8, 3, 4, 4))
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    batches = [5 + 2 * torch.randn(64, 3, 4, 4) for _ in range(4)]
    with reestimated_batch_norm(norm, batches) as model:
        assert not model.training
        mean = torch.stack([b.mean((0, 2, 3)) for b in batches]).mean(0)
        variance = torch.stack([b.var((0, 2, 3)) for b in batches]).mean(0)
        state = norm.state_dict()
        assert torch.allclose(state["running_mean"], mean, atol=1e-5)
        assert torch.allclose(state["running_var"], variance, atol=1e-4)
    assert norm.training
    assert norm.momentum == 0.1
    for key, value in norm.state_dict().items():
        assert torch.equal(value, before[key])


def test_statistics_are_restored_after_an_error() -> None:
    norm = nn.BatchNorm2d(3)
    with pytest.raises(ValueError, match="expected 4D"), reestimated_batch_norm(norm, []):
        norm(torch.zeros(3))
    assert norm.training
    assert norm.momentum == 0.1


def test_untracked_norms_and_frozen_modes_survive() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False), nn.BatchNorm2d(2))
    model[1].eval()
    with reestimated_batch_norm(model, [torch.randn(4, 2, 3, 3)]):
        pass
    assert [m.training for m in model.modules()] == [True, True, False]


def test_a_shift_moves_whole_pixels_and_fills_with_the_mean() -> None:
    images = torch.zeros(64, 1, 8, 8)
    images[:, :, 4, 4] = 1
    moved = augment(images, torch.Generator().manual_seed(0), mirrors=False)
    assert moved.shape == images.shape
    assert torch.equal(moved.sum((1, 2, 3)), torch.ones(64))
    places = moved.flatten(1).argmax(1).unique()
    assert set(places.tolist()) == {8 * r + c for r in (3, 4, 5) for c in (3, 4, 5)}


def slope(images: torch.Tensor) -> torch.Tensor:
    return (images[:, 0, 4, 5] - images[:, 0, 4, 2]).sign()


def test_mirrors_happen_only_where_they_may() -> None:
    ramp = torch.arange(8.0).expand(32, 1, 8, 8)
    kept = augment(ramp, torch.Generator().manual_seed(0), mirrors=False)
    mirrored = augment(ramp, torch.Generator().manual_seed(0), mirrors=True)
    assert slope(kept).unique().tolist() == [1.0]
    assert slope(mirrored).unique().tolist() == [-1.0, 1.0]


def test_a_cut_out_square_is_the_mean_and_no_larger_than_asked_for() -> None:
    cut = cut_out(torch.ones(64, 2, 8, 8), torch.Generator().manual_seed(0), share=0.5)
    zeros = (cut == 0).sum((2, 3))
    assert torch.equal(zeros[:, 0], zeros[:, 1]), "every channel loses the same pixels"
    assert zeros.min() >= 4
    assert zeros.max() == 16
    assert len(cut.flatten(1).unique(dim=0)) > 16
