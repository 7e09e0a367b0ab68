"""Blocks and whole networks, RedNet and ResNet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import ops
from invsearch.bench.layers import layer_candidate, seeded
from invsearch.models import BlockSpec, rednet, resnet
from invsearch.models.blocks import Bottleneck

STAGES = {"s1": (64, 56), "s2": (128, 28), "s3": (256, 14), "s4": (512, 7)}
MODES = ("forward", "train")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("operator", ops.names())
def test_bottleneck(time: Callable[..., None], operator: str, stage: str, mode: str) -> None:
    width, size = STAGES[stage]
    settings = tuple(sorted(ops.get(operator).complete({}).items()))
    block = seeded(lambda: Bottleneck(4 * width, width, 1, BlockSpec(operator, settings)))
    time(layer_candidate(block, (1, 4 * width, size, size), mode, "cpu"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("depth", [26, 50])
@pytest.mark.parametrize("family", [rednet, resnet])
def test_network(time: Callable[..., None], family: Callable, depth: int, mode: str) -> None:
    network = seeded(lambda: family(depth))
    time(layer_candidate(network, (1, 3, 224, 224), mode, "cpu"))
