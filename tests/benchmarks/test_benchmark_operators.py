"""Every operator by every back end at RedNet-50's shapes; `invsearch bench` compares closely."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import ops
from invsearch.bench.case import available_backends
from invsearch.bench.layers import bare_case, layer_case
from invsearch.bench.shapes import REDNET50, LayerShape

SHAPES = {shape.name: shape for shape in REDNET50}
MODES = ("forward", "backward")
FAMILY = ("involution", "self_attention")
OTHERS = ("convolution", "depthwise_convolution")


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> LayerShape:
    """A layer's sizes."""
    return SHAPES[request.param]


@pytest.fixture(params=["default", *ops.backends()])
def backend(request: pytest.FixtureRequest) -> str:
    """What a user gets, and each back end; one that cannot run is skipped with its reason."""
    name: str = request.param
    status = available_backends("cpu")[1].get(name, "available")
    if status != "available":
        pytest.skip(f"back end {name}: {status}")
    return name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operator", FAMILY)
def test_layer_of_the_family(
    time: Callable[..., None], operator: str, shape: LayerShape, backend: str, mode: str
) -> None:
    candidates = layer_case(operator, shape, 1, mode, "cpu").candidates
    time(candidates[backend], candidates["unfold"])


@pytest.mark.parametrize("mode", MODES)
def test_bare_involution(
    time: Callable[..., None], shape: LayerShape, backend: str, mode: str
) -> None:
    if backend == "default":
        pytest.skip("the bare operator has no fused form: default is the first back end")
    candidates = bare_case(shape, 1, mode, "cpu").candidates
    time(candidates[backend], candidates["unfold"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operator", OTHERS)
def test_layer_of_another_operator(
    time: Callable[..., None], operator: str, shape: LayerShape, mode: str
) -> None:
    time(layer_case(operator, shape, 1, mode, "cpu").candidates["default"])
