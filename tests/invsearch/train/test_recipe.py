"""Recipe: its ranges, its learning rates and what it decays."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from invsearch.errors import InputError
from invsearch.train import Recipe


def test_the_rate_warms_up_linearly_then_falls_to_zero() -> None:
    recipe = Recipe(lr=1.0, warmup=0.1)
    rates = [recipe.learning_rate(step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1.0
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 1e-3


def test_no_warm_up_starts_at_the_full_rate() -> None:
    assert Recipe(lr=0.5, warmup=0.0).learning_rate(0, 3) == 0.5


def test_one_single_step_has_a_rate() -> None:
    assert Recipe(lr=0.5, warmup=0.9).learning_rate(0, 1) == 0.5


def test_biases_and_norms_are_not_decayed() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizer = Recipe(weight_decay=0.1).make_optimizer(model)
    assert [(g["weight_decay"], len(g["params"])) for g in optimizer.param_groups] == [
        (0.1, 1),
        (0.0, 3),
    ]


def test_sgd_is_nesterovs() -> None:
    optimizer = Recipe(optimizer="sgd").make_optimizer(nn.Linear(2, 2))
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["nesterov"]
    assert optimizer.param_groups[0]["momentum"] == 0.9


def test_fields_are_taken_from_a_larger_mapping() -> None:
    recipe = Recipe.from_mapping({"epochs": 3, "dataset": "digits", "clip": 1.0})
    assert recipe == Recipe(epochs=3, clip=1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "adam"}, "optimizer 'adam' is none of adamw, sgd.*did you mean 'adamw'"),
        ({"epochs": 0}, "epochs 0 is not at least 1"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"lr": 0.0}, "lr 0.0 is not above 0"),
        ({"lr": float("nan")}, "lr nan"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"warmup": 1.0}, "warmup 1.0 is not in"),
        ({"clip": 0.0}, "clipping is always on"),
        ({"clip": float("inf")}, "clipping is always on"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe.from_mapping(values)
