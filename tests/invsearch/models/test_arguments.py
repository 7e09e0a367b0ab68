"""One rule for the arguments of every family and function: one line, the value, what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from invsearch.errors import InputError, nearest
from invsearch.models import (
    FAMILIES,
    build,
    detector_spec,
    family_spec,
    network_spec,
    proxy_spec,
    rednet_spec,
    resnet_spec,
    segmenter_spec,
)

DEPTHS = {name: next(iter(family.presets)) for name, family in FAMILIES.items()}
STRANGE = [
    None, True, False, -1, 1.5, math.nan, math.inf, -math.inf, "3", "", [3], (3,), {}, b"3", 3 + 0j,
    2**70, object(), np.array([1, 2]), np.float32("nan"), torch.ones(3, 3),
]  # fmt: skip


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        make()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["num_classes", "in_channels", "kernel_size", "depth"])
@pytest.mark.parametrize("value", STRANGE, ids=lambda value: type(value).__name__)
def test_no_family_takes_what_is_no_number_of_anything(
    family: str, name: str, value: object
) -> None:
    """Never a TypeError of torch, never a network of something else, whatever was built before."""
    settings = {"depth": DEPTHS[family], "width": 0.25, "group_channels": 8}
    build(family_spec(family, **settings, kernel_size=3))  # fills the caches with what is equal
    if name == "depth" and value is None:
        return  # means that the stages give their blocks
    line = refused(lambda: build(family_spec(family, **{**settings, name: value})))
    assert name in line or "blocks" in line


@pytest.mark.parametrize("value", [0, 0.0, -1, 1e9, math.nan, math.inf, "1", None, True])
def test_widths(value: object) -> None:
    for family in FAMILIES:
        assert "width is" in refused(partial(family_spec, family, DEPTHS[family], width=value))
    spec = rednet_spec(26)
    settings = {"num_classes": 3, "in_channels": 3}
    assert "width is" in refused(lambda: proxy_spec(spec, width=value, **settings))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"in_channels": 0}, "in_channels is 0: it must be a whole number of at least 1"),
        ({"in_channels": "3"}, "in_channels is '3': it must be a whole number of at least 1"),
        ({"depth": "50"}, "depth '50' is unknown: choose from [26, 38, 50, 101, 152, 'custom'] "
         "(did you mean 50?)"),
        ({"depth": 51}, "(did you mean 50?)"),
        ({"depth": 140}, "(did you mean 152?)"),
        ({"depth": "custum"}, "(did you mean 'custom'?)"),
        ({"depth": 50.0}, "(did you mean 50?)"),
        ({"num_classes": -1}, "num_classes is -1: it must be a whole number of at least 0"),
        ({"num_clases": 5}, "(did you mean 'num_classes'?)"),
        ({"global_pool": "average"}, "it must be one of 'avg', 'max', '' (did you mean 'avg'?)"),
        ({"num_classes": 5, "global_pool": ""}, "give num_classes=0, or global_pool='avg'"),
        ({"stages": "abcd"}, "stages is 'abcd': give 4 mappings"),
        ({"stages": [1, 2, 3, 4]}, "give 4 mappings"),
        ({"stages": 4}, "give 4 mappings"),
        ({"stem_kernel_size": 3.0}, "stem_kernel_size is 3.0: it must be a whole number"),
        ({"operator": ["involution"]}, "operator is ['involution']: give one number, text"),
        ({"generator": "liner"}, "generator"),
    ],
)  # fmt: skip
def test_lines(arguments: dict[str, object], line: str) -> None:
    made = {"depth": 50, **arguments}
    assert line in refused(lambda: build(rednet_spec(**made)))


def test_a_wrong_depth_is_refused_where_no_one_needs_it_too() -> None:
    stages = [{"blocks": 1}] * 4
    assert "depth 51" in refused(lambda: rednet_spec(51, stages=stages))
    assert rednet_spec(None, stages=stages) == rednet_spec(50, stages=stages)


@pytest.mark.parametrize("value", ["no", 1, None, [True]])
def test_truth_values(value: object) -> None:
    assert "deep_stem is" in refused(lambda: resnet_spec(26, deep_stem=value))


@pytest.mark.parametrize("value", [0, "80", None, 1.0, True, [3]])
def test_tasks_keep_the_rule(value: object) -> None:
    backbone = rednet_spec(26)
    for make, task in ((detector_spec, "retinanet"), (segmenter_spec, "upernet")):
        assert "num_classes is" in refused(partial(make, task, backbone, num_classes=value))
    if value is not None:  # which means the task's own
        assert "channels is" in refused(lambda: segmenter_spec("upernet", backbone, channels=value))
    assert "task " in refused(lambda: detector_spec(value, backbone))
    assert "operator " in refused(lambda: detector_spec("retinanet", backbone, neck=value))
    assert "frozen_stages is 5" in refused(
        lambda: detector_spec("retinanet", backbone, frozen_stages=5)
    )


def test_scalars_of_numpy_and_torch_are_numbers() -> None:
    """``labels.max() + 1`` is one of these, and what is kept of it goes into JSON."""
    plain = family_spec("rednet", 26, num_classes=10, width=0.5)
    for kind in (np.int64, np.uint8, torch.tensor):
        width = np.float32(0.5)
        spec = family_spec("rednet", kind(26), num_classes=kind(10), width=width)
        assert spec == plain
        assert type(spec.num_classes) is int


@pytest.mark.parametrize("family", [None, 3, ["rednet"], "rednot"])
def test_families(family: object) -> None:
    assert "is unknown" in refused(lambda: family_spec(family, 26))
    with pytest.raises(InputError):
        network_spec({"family": family}, {"depth": 26})


@pytest.mark.parametrize(
    ("value", "allowed", "hint"),
    [
        ("nsga", ["nsga2", "tpe"], " (did you mean 'nsga2'?)"),
        (51, [26, 50, "custom"], " (did you mean 50?)"),
        ("50", [26, 50], " (did you mean 50?)"),
        ("50", ["26", "50s"], " (did you mean '50s'?)"),
        (math.nan, [26, 50], ""),
        (True, [1, 2], ""),
        (10**400, [1, 2], ""),
        (None, ["a"], ""),
    ],
)
def test_the_nearest_of_numbers_is_the_nearest_number(
    value: object, allowed: list[object], hint: str
) -> None:
    assert nearest(value, allowed) == hint
