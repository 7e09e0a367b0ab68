"""A training that diverged says where: the step, the norm, the first layer, the remedy."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor, nn

from invsearch.data import ImageData, load_dataset
from invsearch.errors import TrialError
from invsearch.train import Recipe, Trainer, seeded_build
from invsearch.train.divergence import DivergedError, explained, first_not_finite

RECIPE = Recipe(epochs=2, batch_size=32, lr=0.01, clip=2.0)
_FROM = 11  # calls in training: step 3 of epoch 2, with 8 steps an epoch


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digits", data_fraction=0.2)


class Overflows(nn.Module):
    """Passes numbers on, and after some training steps spoils its output or its gradient."""

    def __init__(self, *, backwards: bool) -> None:
        super().__init__()
        self.backwards, self.calls = backwards, 0

    def forward(self, features: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls < _FROM:
            return features
        if self.backwards:  # 0 * sqrt at 0: finite, with an infinite derivative
            return features + (features.detach() * 0 + features - features.detach()).abs().sqrt()
        return features * float("inf")


def net(*, backwards: bool) -> nn.Module:
    layers = nn.Sequential(nn.Linear(64, 16), Overflows(backwards=backwards), nn.ReLU())
    return nn.Sequential(nn.Flatten(), layers, nn.Linear(16, 10))


@pytest.mark.parametrize(
    ("backwards", "where"),
    [(False, "the first layer whose output is not finite is 1.1;"),
     (True, "the first layer whose gradient is not finite is 1.0;")],
)  # fmt: skip
def test_the_first_layer_to_blame_is_named(data: ImageData, backwards: bool, where: str) -> None:
    learner = Trainer(seeded_build(lambda: net(backwards=backwards), 0), data, RECIPE, 0)
    learner.train_epoch()
    with pytest.raises(TrialError) as caught:
        learner.train_epoch()
    text = str(caught.value)
    assert "at epoch 2, step 3 (gradient norm nan, " in text
    assert "at the step before)" in text
    assert where in text
    assert text.endswith("a lower lr (0.01) or clip (2) may help")
    assert all(bool(p.isfinite().all()) for p in learner.model.parameters()), "weights were kept"


def test_weights_stay_as_they_were_at_the_step_that_failed(data: ImageData) -> None:
    """So that on a GPU, where it is found out later, the step can be looked at."""
    learner = Trainer(seeded_build(lambda: net(backwards=False), 0), data, RECIPE, 0)
    learner.train_epoch()
    kept: list[dict[str, Tensor]] = []

    def keep() -> None:
        kept.append({name: value.clone() for name, value in learner.model.state_dict().items()})

    with pytest.raises(TrialError):
        learner.train_epoch(keep)
    last = learner.model.state_dict()
    assert all(torch.equal(last[name], value) for name, value in kept[-1].items())


def test_images_and_weights_are_looked_at_first() -> None:
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.zeros(3, 1, 2, 2)
    assert first_not_finite(model, images, torch.sum) == ""
    assert "images" in first_not_finite(model, images * float("nan"), torch.sum)
    assert "the loss is not" in first_not_finite(model, images, lambda y: y.sum() * float("nan"))
    nn.init.constant_(model[1].bias, float("nan"))
    assert first_not_finite(model, images, torch.sum) == "the weights 1.bias are not finite"


def test_it_travels_between_processes_as_it_is() -> None:
    error = explained(
        DivergedError(1, 2, float("inf"), float("nan"), 3.0), "", Recipe(precision="fp16")
    )
    assert "bf16 rather than fp16" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
