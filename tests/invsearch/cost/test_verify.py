"""A third party's operator is believed only when its closed form equals its module."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

import ops
from invsearch.cost import verify_closed_form
from invsearch.errors import InputError
from invsearch.models import BlockSpec, rednet_spec

pytestmark = pytest.mark.usefixtures("clean_registry")


def pixels(shape: tuple[int, ...], stride: int) -> int:
    return shape[0] * -(-shape[2] // stride) * -(-shape[3] // stride)


def pointwise_macs(shape: tuple[int, ...], *, stride: int) -> int:
    return pixels(shape, stride) * shape[1] ** 2


def pointwise(channels: int, *, stride: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 1, stride=stride)


def register(
    name: str,
    build: Callable[..., nn.Module] = pointwise,
    macs: Callable[..., int] = pointwise_macs,
    params: Callable[..., int] = lambda channels: channels**2 + channels,
    **options: object,
) -> BlockSpec:
    ops.register(name, macs=macs, params=params, **options)(build)
    return BlockSpec(name, ())


@pytest.mark.parametrize("name", ["involution", "self_attention", "convolution"])
def test_built_in_operators_pass(name: str) -> None:
    """The check agrees with what the suite itself ships."""
    verify_closed_form(rednet_spec(26, operator=name).stages[0].blocks[0], 64)


def test_a_right_closed_form_passes() -> None:
    """With and without a form of its own for the paper's convention (1 per bias)."""
    verify_closed_form(register("right"), 6)

    def paper(shape: tuple[int, ...], *, stride: int) -> int:
        return pointwise_macs(shape, stride=stride) + pixels(shape, stride) * shape[1]

    verify_closed_form(register("right_twice", paper_macs=paper), 6)


class Windows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.unfold(x, 3, padding=1).unflatten(1, (x.shape[1], 9)).sum(2).view_as(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"macs": lambda shape, *, stride: 1}, r"macs = 1, its module has 2304"),
        ({"params": lambda channels: 7}, "params = 7, its module has 42, for 6 channels"),
        ({"paper_macs": lambda shape, *, stride: 2}, r"paper_macs = 2, its module has 2688"),
        ({"build": lambda c, *, stride: nn.Conv2d(c, c, 1)}, r"output is \(1, 6, 8, 8\)"),
        ({"build": lambda c, *, stride: Windows(), "params": lambda c: 0}, "aten::im2col"),
        ({"build": lambda c, *, stride: nn.Conv2d(c, 3, 7)}, "params"),
        ({"macs": lambda shape: 1}, "TypeError"),
    ],
)
def test_wrong_closed_forms_are_refused(options: dict[str, object], message: str) -> None:
    """Both numbers, the operator and the setting are in one line."""
    name = f"wrong_{len(ops.names())}"
    with pytest.raises(InputError, match=message) as caught:
        verify_closed_form(register(name, **options), 6)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
