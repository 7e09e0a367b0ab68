"""A stranger who imports `ops` and torch's own tools: both see our operators by their names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import ops
from ops import registry
from ops.involution.fused import bottleneck, fused, fused_backward
from ops.normalise import normalise

CHANNELS, GROUPS, K, PIXELS = 32, 2, 7, 2 * 6 * 5
AGGREGATION = PIXELS * K * K * CHANNELS

STRANGER = """
{imports}
import torch, ops
from torch.utils.flop_counter import FlopCounterMode
with FlopCounterMode(display=False) as mode:
    ops.involution2d(torch.ones(1, 4, 5, 5), torch.ones(1, 2, 3, 3, 5, 5))
assert mode.get_total_flops() == 2 * 9 * 4 * 25, mode.get_flop_counts()
"""
LAZY = """
import sys, importlib.util
import ops
assert "torch.utils.flop_counter" not in sys.modules
importlib.util.find_spec("torch.utils.flop_counter")  # to ask for it is not to import it
"""
ORDERS = {
    "ops first, and it does not import the counter": LAZY,
    "the counter first": "import torch.utils.flop_counter",
    "the counter's own loader stays": LAZY
    + "import torch.utils.flop_counter as c, inspect; inspect.getsource(c)\n"
    + "assert 'ops' not in type(c.__spec__.loader).__module__",
}


def image(channels: int = CHANNELS) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, 6, 5, generator=generator)
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("order", ORDERS)
def test_whoever_imports_ops_can_count_it(order: str) -> None:
    code = STRANGER.format(imports=ORDERS[order])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def flops(call: Callable[[], object]) -> dict[str, int]:
    with FlopCounterMode(display=False) as mode:
        call()
    return {str(name): count for name, count in mode.get_flop_counts()["Global"].items()}


def test_every_operation_of_the_family_has_its_formula() -> None:
    x, features = image(), image(8)
    weight, bias = torch.ones(GROUPS, K, K, 8), torch.ones(GROUPS, K, K)
    vector = torch.ones(8)
    window = ([1, 1], [3, 3], [1, 1])
    span = PIXELS * weight.numel()
    assert flops(lambda: fused(x, features, weight, bias, *window)) == {
        "involution.fused": 2 * (span + AGGREGATION)
    }
    assert flops(lambda: fused_backward(x, x, features, weight, bias, *window)) == {
        "involution.fused_backward": 4 * (span + AGGREGATION)
    }
    assert flops(
        lambda: bottleneck(
            x, torch.ones(8, CHANNELS, 1, 1), *[vector] * 4, weight, bias, 1e-5, *window
        )
    ) == {"involution.bottleneck": 2 * (PIXELS * 8 * CHANNELS + span + AGGREGATION)}


@pytest.mark.parametrize("name", ["involution", "self_attention"])
def test_a_training_step_costs_three_forward_passes(name: str) -> None:
    """One for the result, one for the gradient of either factor of each product."""
    layer, x = ops.get(name).make(CHANNELS), image().requires_grad_()
    forward = sum(flops(lambda: layer(x)).values())
    assert sum(flops(lambda: layer(x).sum().backward()).values()) == 3 * forward


def test_other_peoples_operators_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_OPERATORS", dict(registry._OPERATORS))
    library = torch.library.Library("ops_test_flops", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: x * 2, "CompositeExplicitAutograd")

    def register(macs: int) -> None:
        ops.register(
            f"twice_{macs}",
            macs=lambda shape, *, stride: macs,
            params=lambda channels: 0,
            trace_handles={"ops_test_flops::twice": lambda inputs, outputs: macs},
        )(lambda channels, *, stride: torch.nn.Identity())

    for macs in (5, 7):  # registered again, the later handle counts
        register(macs)
        found = flops(lambda: torch.ops.ops_test_flops.twice(image()))
        assert found == {"ops_test_flops.twice": 2 * macs}


def rows(call: Callable[[], object]) -> set[str]:
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as profiled:
        call()
    return {event.key for event in profiled.key_averages()}


def test_the_profiler_names_what_runs() -> None:
    """The fused layer and the one-pass norm bypass the dispatcher when nobody looks."""
    x, norm = image(), torch.nn.BatchNorm2d(CHANNELS).eval()
    layer, attention = ops.Involution2d(CHANNELS).eval(), ops.get("self_attention").make(CHANNELS)
    kernel = torch.ones(2, GROUPS, 3, 3, 6, 5)
    assert "involution::aggregate" in rows(lambda: ops.involution2d(x, kernel))
    assert {"involution::grad_kernel", "involution::aggregate"} <= rows(lambda: attention(x))
    seen = rows(lambda: layer(x))
    assert seen & {"involution::bottleneck", "involution::fused", "involution::aggregate"}
    expected = torch.relu(norm(x))
    seen = rows(lambda: torch.testing.assert_close(normalise(x, norm, torch.nn.ReLU()), expected))
    assert seen & {"involution::normalise", "aten::batch_norm"}
