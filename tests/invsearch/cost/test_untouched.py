"""Counting never touches the model: weights, modes, hooks and devices are what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from invsearch.cost import flop_counter_macs, meta_macs, module_macs, peak_memory, trace_macs

SHAPE = (2, 4, 6, 6)
COUNTERS = (trace_macs, meta_macs, module_macs, flop_counter_macs, peak_memory)


def convolution() -> nn.Conv2d:
    return nn.Conv2d(4, 4, 3, padding=1)


class Twice(nn.Module):
    """One part under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = convolution()
        self.again = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.first(x))


class Tied(nn.Module):
    """Two parts of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = convolution(), convolution()
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Nested(nn.Module):
    """A part within a part that is there twice, with buffers."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Sequential(convolution(), nn.BatchNorm2d(4))
        self.body = nn.ModuleList([block, nn.Sequential(block), block])

    def forward(self, x: Tensor) -> Tensor:
        for part in self.body:
            x = part(x)
        return x


class Failing(Twice):
    """Raises on the way."""

    def forward(self, x: Tensor) -> Tensor:
        self.first(x)
        raise RuntimeError("on the way")


def state_of(module: nn.Module) -> dict[str, Any]:
    """Every tensor by every name, with which object it is, and every part's mode."""
    tensors = [*module.named_parameters(remove_duplicate=False)]
    tensors += module.named_buffers(remove_duplicate=False)
    return {
        "tensors": {name: (id(t), t.device, t.detach().clone()) for name, t in tensors},
        "modes": [part.training for part in module.modules()],
    }


def assert_untouched(module: nn.Module, before: dict[str, Any]) -> None:
    after = state_of(module)
    assert after["modes"] == before["modes"]
    assert after["tensors"].keys() == before["tensors"].keys()
    for name, (identity, device, values) in before["tensors"].items():
        assert after["tensors"][name][:2] == (identity, device), name
        assert torch.equal(after["tensors"][name][2], values), name


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("make", [Twice, Tied, Nested, lambda: nn.Sequential(*[convolution()] * 3)])
def test_the_model_is_what_it_was(
    make: Callable[[], nn.Module], counter: Callable[..., object]
) -> None:
    module = make()
    before = state_of(module)
    counter(module, SHAPE)
    assert_untouched(module, before)


@pytest.mark.parametrize("counter", COUNTERS)
def test_also_where_it_raises(counter: Callable[..., object]) -> None:
    module = Failing()
    before = state_of(module)
    with pytest.raises(RuntimeError, match="on the way"):
        counter(module, SHAPE)
    assert_untouched(module, before)


@pytest.mark.parametrize("make", [Twice, Tied])
def test_shared_parts_count_as_often_as_they_run(make: Callable[[], nn.Module]) -> None:
    expected = 2 * 2 * 4 * 4 * 9 * 36
    assert trace_macs(make(), SHAPE) == meta_macs(make(), SHAPE) == expected
    assert sum(flop_counter_macs(make(), SHAPE).values()) == expected
