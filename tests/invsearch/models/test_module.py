"""Somebody else's networks: what a builder is given, and operators in place of convolutions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ops
from invsearch.errors import InputError
from invsearch.models import ModuleSpec, build_searched, spec_from_json
from invsearch.models.module import build_shapes, taken_keywords
from invsearch.models.replacement import Replacement, put_in_place

NUMBERS = itertools.count()

SOURCE = """
from torch import nn

def plain(parameters):
    return nn.Conv2d(3, parameters["width"], 1)

def ends(parameters, num_classes, in_channels=1, *, width=1.0):
    return nn.Linear(in_channels, int(num_classes * width))

def reads_a_value(parameters):
    import torch
    return nn.Conv2d(3, int(torch.linspace(4, 8, 2)[1].item()), 1)

def raises(parameters):
    return {}[parameters["width"]]

def nothing(parameters):
    pass

def two(parameters, other):
    pass

def leaves(parameters):
    raise SystemExit(3)
"""


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., ModuleSpec]:
    name = f"builders_{next(NUMBERS)}"  # a module is imported once in the life of a process
    (tmp_path / f"{name}.py").write_text(SOURCE)
    return lambda function, **known: ModuleSpec(
        f"{name}:{function}", (("width", 4),), search_paths=(str(tmp_path),), **known
    )


def blocks() -> nn.Sequential:
    """Convolutions that can be replaced, and such as cannot."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.Conv2d(32, 64, 1)),
        nn.Sequential(nn.Conv2d(64, 64, 5, stride=2, padding=2, groups=64), nn.Conv2d(64, 64, 3)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def test_a_builder_is_given_what_it_takes(spec: Callable[..., ModuleSpec]) -> None:
    built = build_searched(spec("plain"))
    assert isinstance(built, nn.Conv2d)
    assert built.out_channels == 4
    ends = spec("ends", num_classes=10, in_channels=5)
    assert taken_keywords(ends) == {"num_classes", "in_channels", "width"}
    assert build_searched(ends).weight.shape == (10, 5)
    proxy = ends.proxy({"width": 0.5, "pool": True}, num_classes=6, in_channels=1)
    assert proxy.scale == (("width", 0.5),), "it takes no pool"
    assert build_searched(proxy).weight.shape == (3, 1)


def test_shapes_are_built_without_memory_where_that_is_possible(
    spec: Callable[..., ModuleSpec],
) -> None:
    assert all(weight.is_meta for weight in build_shapes(spec("plain")).parameters())
    state = torch.random.get_rng_state()
    assert build_shapes(spec("reads_a_value")).out_channels == 8
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("raises", ["KeyError: 4", ".py:15)"]),
        ("leaves", ["SystemExit: 3"]),
        ("nothing", ["returned NoneType", "torch.nn.Module"]),
        ("two", ["(parameters, other)", "called with the parameters"]),
        ("plian", ["has no 'plian'", "did you mean 'plain'"]),
    ],
)
def test_what_is_no_builder_is_one_line(
    spec: Callable[..., ModuleSpec], function: str, words: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        build_searched(spec(function))
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_a_spec_survives_json(spec: Callable[..., ModuleSpec]) -> None:
    rule = Replacement("*.conv", "involution", (("kernel_size", 5),), 3)
    one = spec("plain", replace=(rule,), scale=(("width", 0.5),), num_classes=7)
    assert spec_from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize("operator", ["involution", "self_attention", "depthwise_convolution"])
def test_an_operator_stands_for_a_convolution_of_the_same_shapes(operator: str) -> None:
    images = torch.randn(2, 3, 20, 15)
    rules = [Replacement("1.0", operator), Replacement("2.0", operator, (("group_channels", 48),))]
    before, after = blocks(), put_in_place(blocks(), rules)
    assert after(images).shape == before(images).shape
    shapes: dict[str, Any] = {}
    for network, seen in ((before, "before"), (after, "after")):
        for name in ("1.0", "2.0"):
            part = network.get_submodule(name)
            part.register_forward_hook(
                lambda part, x, y, key=(seen, name): shapes.update({key: y.shape})
            )
        network(images)
    assert shapes["before", "2.0"] == shapes["after", "2.0"] == (2, 64, 10, 8)
    assert shapes["before", "1.0"] == shapes["after", "1.0"]


def test_what_a_rule_leaves_out_is_the_convolutions_own() -> None:
    network = put_in_place(blocks(), [Replacement("2.0", "involution", (("group_channels", 48),))])
    made = network.get_submodule("2.0")
    assert isinstance(made, ops.Involution2d)
    assert (made.kernel_size, made.stride) == (5, 2)
    assert made.group_channels == 32, "the largest divisor of 64 that is not above 48"


def test_the_first_rule_that_matches_decides() -> None:
    rules = [Replacement("1.0", "keep"), Replacement("?.0", "involution")]
    network = put_in_place(blocks(), rules)
    assert isinstance(network.get_submodule("1.0"), nn.Conv2d)
    assert isinstance(network.get_submodule("2.0"), ops.Involution2d)
    untouched = blocks()
    assert put_in_place(untouched, []) is untouched


@pytest.mark.parametrize(
    ("match", "stage", "words"),
    [
        ("*.conv_dw", 0, ["no convolution matches '*.conv_dw'", "there are: 0, 1.0"]),
        ("0", 0, ["0 has 3 channels in and 32 out", "narrow '0'"]),
        ("2.1", 0, ["2.1 has padding (0, 0)"]),
        ("1.0", 2, ["no feature_info"]),
    ],
)
def test_what_cannot_be_replaced_is_named(match: str, stage: int, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        put_in_place(blocks(), [Replacement(match, "involution", (), stage)])
    for word in words:
        assert word in str(caught.value)


def test_operators_that_stand_there_already_are_left_whole() -> None:
    network = nn.Sequential(ops.Involution2d(32), nn.Conv2d(32, 32, 3, padding=1))
    put_in_place(network, [Replacement("*", "self_attention")])
    assert isinstance(network[0], ops.Involution2d)
    assert not isinstance(network[1], nn.Conv2d)


def test_a_convolution_in_two_places_is_not_half_replaced() -> None:
    """Its weights are shared; which of its names is meant, nothing says."""
    network = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
    network.append(network[0])
    with pytest.raises(InputError, match="0 and 2 are one convolution"):
        put_in_place(network, [Replacement("*", "involution")])
    assert network[2] is network[0]
