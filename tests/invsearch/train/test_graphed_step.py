"""Steps in CUDA graphs: with a stand-in for the capture here, and with a GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from invsearch.data import ImageData, load_dataset
from invsearch.train import CaptureError, Recipe, Trainer, seeded_build
from invsearch.train.graphed_step import WARM_UP_STEPS, GraphedStep
from invsearch.train.step import Step

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=8, optimizer="sgd", lr=0.1)
WITH_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))


def stand_in(run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
    """A capture that runs nothing, and a replay that runs it all: what a graph looks like."""
    loss = torch.zeros(())
    return lambda: loss.copy_(run()), loss


def batches(number: int, size: int = 8) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(size, 1, 8, 8, generator=generator),
            torch.randint(0, 10, (size,), generator=generator),
        )
        for _ in range(number)
    ]


def test_a_replayed_step_is_the_step() -> None:
    plain = Step(seeded_build(net, 0), RECIPE, CPU)
    graphed = GraphedStep(Step(seeded_build(net, 0), RECIPE, CPU), stand_in)
    losses = []
    for number, (images, labels) in enumerate(batches(8)):
        rate = 0.1 / (number + 1)
        losses.append(graphed(images, labels, rate))
        assert losses[-1].item() == pytest.approx(plain(images, labels, rate).item())
        assert graphed.captured == (number >= WARM_UP_STEPS)
    assert len({loss.item() for loss in losses}) == 8, "a replay overwrote an earlier loss"


def test_another_shape_is_refused() -> None:
    graphed = GraphedStep(Step(net(), RECIPE, CPU), stand_in)
    for images, labels in batches(WARM_UP_STEPS + 1):
        graphed(images, labels, 0.1)
    with pytest.raises(ValueError, match="captured for"):
        graphed(*batches(1, size=4)[0], 0.1)


def test_a_capture_that_fails_says_so() -> None:
    def broken(run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    graphed = GraphedStep(Step(net(), RECIPE, CPU), broken)
    for images, labels in batches(WARM_UP_STEPS):
        graphed(images, labels, 0.1)
    with pytest.raises(CaptureError, match="cannot be captured: operation not permitted$"):
        graphed(*batches(1)[0], 0.1)


def test_what_cannot_be_captured_is_refused_at_once() -> None:
    with pytest.raises(CaptureError, match="CUDA graphs need a CUDA device, not cpu"):
        GraphedStep(Step(net(), RECIPE, CPU))
    with pytest.raises(CaptureError, match="fp16"):
        GraphedStep(Step(net(), replace(RECIPE, precision="fp16"), CPU), stand_in)


def digits() -> ImageData:
    return load_dataset("digits", data_fraction=0.2)


@WITH_GPU
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_in_graphs_is_the_training(optimizer: str, precision: str) -> None:
    values = {"epochs": 3, "batch_size": 32, "lr": 0.01, "augment": True}
    recipe = Recipe.from_mapping({**values, "optimizer": optimizer, "precision": precision})
    plain = Trainer(seeded_build(net, 0), digits(), recipe, 0, "cuda")
    graphed = Trainer(seeded_build(net, 0), digits(), recipe, 0, "cuda", graphs=True)
    for _ in range(3):
        assert graphed.train_epoch() == pytest.approx(plain.train_epoch(), rel=0.02)
    assert "val_loss" in graphed.evaluate()


@WITH_GPU
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_it_trains_on_a_gpu(precision: str) -> None:
    recipe = Recipe.from_mapping({"epochs": 3, "augment": True, "precision": precision})
    learner = Trainer(seeded_build(net, 0), digits(), recipe, 0, "cuda")
    losses = [learner.train_epoch() for _ in range(3)]
    assert losses[-1] < losses[0]
    assert "val_loss" in learner.evaluate()
