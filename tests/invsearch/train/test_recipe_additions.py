"""Accumulation, averaged weights, decay by name, optimisers of the extra."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from invsearch.data import ImageData, load_dataset
from invsearch.errors import InputError
from invsearch.models import build, family_spec
from invsearch.space import Accuracy
from invsearch.train import Recipe, Trainer, seeded_build
from invsearch.train.averaged import Averaged
from invsearch.train.optimizers import OPTIMIZERS, parameter_groups
from invsearch.train.recipe import OptimizerName
from invsearch.train.step import Step

CPU = torch.device("cpu")
HAS_EXTRA = importlib.util.find_spec("pytorch_optimizer") is not None


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digits", data_fraction=0.2)


def batch(size: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 1, 8, 8, generator=generator)
    return images, torch.randint(0, 10, (size,), generator=generator)


@pytest.mark.parametrize("parts", [2, 3, 5, 12])
def test_a_step_in_parts_is_the_step_of_the_whole(parts: int) -> None:
    """Without batch norm; also where the parts are uneven."""
    recipe = Recipe(optimizer="sgd", lr=0.1, batch_size=12)
    whole = Step(seeded_build(net, 0), recipe, CPU)
    inparts = Step(seeded_build(net, 0), replace(recipe, accumulate=parts), CPU)
    for _ in range(3):
        losses = [step(*batch(), 0.1) for step in (whole, inparts)]
        torch.testing.assert_close(*losses)
        torch.testing.assert_close(whole.norm, inparts.norm)
    for a, b in zip(whole.model.parameters(), inparts.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_targets_may_be_probabilities() -> None:
    images, labels = batch()
    hard, soft = (Step(seeded_build(net, 0), Recipe(), CPU) for _ in range(2))
    one_hot = nn.functional.one_hot(labels, 10).float()
    torch.testing.assert_close(hard(images, labels, 0.1), soft(images, one_hot, 0.1))


def test_the_average_is_the_formulas() -> None:
    model, steps = nn.Linear(1, 1, bias=False), 30
    averaged, expected, values = Averaged(model, 0.9), model.weight.item(), []
    for step in range(steps):
        nn.init.constant_(model.weight, float(step))
        averaged.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        values.append(expected)
    with averaged.applied():
        assert model.weight.item() == pytest.approx(values[-1], rel=1e-5)
    assert model.weight.item() == steps - 1


def test_what_is_evaluated_and_kept_is_the_average(data: ImageData) -> None:
    learner = Trainer(seeded_build(net, 0), data, Recipe(epochs=2, ema=0.9), 0)
    plain = Trainer(seeded_build(net, 0), data, Recipe(epochs=2), 0)
    for trainer in (learner, plain):
        trainer.train_epoch()
        trainer.train_epoch()
    own = learner.model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in plain.model.state_dict().items())
    kept = learner.weights()
    assert not torch.equal(kept["0.weight"], own["0.weight"])
    judged = learner.evaluate()["val_loss"].value
    assert judged != plain.evaluate()["val_loss"].value
    plain.model.load_state_dict(kept)
    assert plain.evaluate()["val_loss"].value == judged


def decays(recipe: Recipe, model: nn.Module) -> dict[str, float]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: group["weight_decay"]
        for group in parameter_groups(model, recipe)
        for parameter in group["params"]
    }


def test_decay_follows_the_kind_of_parameter_and_its_name() -> None:
    model = build(replace(family_spec("rednet", 26), num_classes=10))
    recipe = Recipe(
        weight_decay=0.1,
        norm_decay=0.2,
        bias_decay=0.3,
        decay={"*.span.weight": 0.0, "stem.*": 0.5},
    )
    found = decays(recipe, model)
    assert len(found) == len(list(model.parameters()))
    assert found["stages.0.0.conv1.weight"] == 0.1
    assert found["stages.0.0.bn1.weight"] == 0.2
    assert found["head.bias"] == 0.3
    assert found["stages.0.0.operator.generator.span.weight"] == 0.0
    assert found["stages.0.0.operator.generator.span.bias"] == 0.3
    assert found["stem.3.generator.span.weight"] == 0.0, "the first pattern that matches"
    assert found["stem.1.weight"] == 0.5


def test_the_groups_of_a_recipe_without_rules_are_those_of_every_version() -> None:
    groups = parameter_groups(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), Recipe())
    assert [(g["weight_decay"], len(g["params"])) for g in groups] == [(0.05, 1), (0.0, 3)]


def test_the_names_are_the_tables() -> None:
    assert set(get_args(OptimizerName)) == set(OPTIMIZERS)
    assert set(get_args(Accuracy.model_fields["optimizer"].annotation)) == set(OPTIMIZERS)


@pytest.mark.parametrize("optimizer", ["lion", "muon"])
def test_an_optimizer_of_the_extra_learns_or_says_what_to_install(
    data: ImageData, optimizer: str
) -> None:
    recipe = Recipe.from_mapping({"epochs": 2, "optimizer": optimizer, "lr": 2e-3})
    if not HAS_EXTRA:
        with pytest.raises(InputError, match=r"pip install 'invsearch\[optimizers\]'"):
            recipe.make_optimizer(net())
        return
    learner = Trainer(seeded_build(net, 0), data, recipe, 0)
    first, second = learner.train_epoch(), learner.train_epoch()
    assert second < first
    resumed = Trainer(seeded_build(net, 1), data, recipe, 0)
    resumed.load_state_dict(learner.state_dict())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"accumulate": 0}, "accumulate 0"),
        ({"accumulate": 65}, r"accumulate 65 is not in \[1, batch_size\]"),
        ({"ema": 1.0}, "ema 1.0"),
        ({"norm_decay": -1.0}, "norm_decay"),
        ({"decay": {"*": -1.0}}, "decay"),
        ({"warmup_from": 2.0}, "warmup_from"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe.from_mapping(values)


def test_a_warm_up_may_begin_at_a_fraction_of_the_rate() -> None:
    recipe = Recipe(lr=0.8, warmup=0.5, warmup_from=0.25)
    rates = [recipe.learning_rate(step, 20) for step in range(11)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[5] == pytest.approx(0.5)
    assert rates[10] == pytest.approx(0.8)
