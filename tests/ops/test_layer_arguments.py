"""What a layer cannot be built of is a ValueError that names the argument and its value."""

from __future__ import annotations

import math

import pytest
import torch

import ops
from ops.self_attention import SelfAttention2d

STRANGE = [0, -1, "3", True, 1.5, math.nan, [3], (3,), {}, b"3", object(), {3}]
SHARED = ["channels", "kernel_size", "stride", "dilation", "backend"]
NAMES = {
    ops.Involution2d: [*SHARED, "group_channels", "reduction", "generator"],
    SelfAttention2d: [*SHARED, "head_channels"],
}


@pytest.mark.parametrize(
    ("layer", "name"), [(layer, name) for layer, names in NAMES.items() for name in names]
)
@pytest.mark.parametrize("value", STRANGE, ids=lambda value: type(value).__name__)
def test_layers(layer: type, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name.replace("backend", "back end")) as caught:
        layer(**{"channels": 16, name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["stride", "padding", "dilation"])
@pytest.mark.parametrize("value", [-1, 1.5, "3", "34", None, [1, 2, 3], (1.0, 2), {}, [[1], [2]]])
def test_the_window_of_the_operator(name: str, value: object) -> None:
    if (name, value) == ("padding", None):
        return  # means the middle of the window
    x, kernel = torch.zeros(1, 16, 5, 5), torch.zeros(1, 1, 3, 3, 5, 5)
    with pytest.raises(ValueError, match=f"{name} must be an int or two ints"):
        ops.involution2d(x, kernel, **{name: value})


def test_the_nearest_back_end_is_named_when_the_layer_is_built() -> None:
    with pytest.raises(ValueError, match="did you mean 'unfold'"):
        ops.Involution2d(16, backend="unfodl")
