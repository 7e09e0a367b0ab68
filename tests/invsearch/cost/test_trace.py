"""Counting a built module: it fails wherever something that costs goes uncounted."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ops
from invsearch.cost import flop_counter_macs, module_macs, trace_macs
from invsearch.cost.free import FREE_OPERATIONS, is_free
from invsearch.errors import CheckError

COUNTERS: list[Callable[..., int]] = [trace_macs, module_macs]

LIBRARY = torch.library.Library("invsearch_cost_test", "DEF")
LIBRARY.define("mystery(Tensor x) -> Tensor")
LIBRARY.impl("mystery", lambda x: x * 2, "CPU")
LIBRARY.impl("mystery", torch.empty_like, "Meta")


class Mystery(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.invsearch_cost_test.mystery(x)


class UnfoldInvolution(nn.Module):
    """An involution in plain torch operations: both common tools score its aggregation 0."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.kernel = nn.Conv2d(8, 9, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        kernel = self.kernel(x).view(batch, 1, 9, height, width)
        if self.how == "im2col":
            windows = F.unfold(x, 3, padding=1)
        else:
            padded = F.pad(x, (1, 1, 1, 1))
            windows = padded.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 1, 4, 5, 2, 3)
        return (kernel * windows.reshape(batch, channels, 9, height, width)).sum(2)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x * x


class SquareModule(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Square.apply(x)


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize(
    ("part", "operation"),
    [
        (UnfoldInvolution("im2col"), "aten::im2col"),
        (UnfoldInvolution("unfold"), "aten::unfold"),
        (Mystery(), "invsearch_cost_test::mystery"),
    ],
)
def test_uncounted_operations_fail(
    counter: Callable[..., int], part: nn.Module, operation: str
) -> None:
    """The error names the operation and the module it is in."""
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(nn.ReLU(), part))
    with pytest.raises(CheckError, match=rf"{operation} in 1\.1:"):
        counter(model, (1, 3, 6, 6))


def test_a_python_function_without_a_trace_fails() -> None:
    """fvcore cannot look into an autograd.Function, so it must not be scored 0."""
    with pytest.raises(CheckError, match=r"prim::PythonOp\.Square in 0"):
        trace_macs(nn.Sequential(SquareModule()), (1, 3, 4, 4))


def test_fvcore_ignores_nothing_that_is_not_on_the_one_list() -> None:
    """fvcore's own list of ignored operations adds nothing to ours."""
    from fvcore.nn.jit_analysis import _IGNORED_OPS

    assert not [operation for operation in _IGNORED_OPS if not is_free(operation)]


def test_windows_and_products_are_not_free() -> None:
    """What gathers windows or multiplies matrices is on no kind of the free list."""
    for name in ("unfold", "im2col", "as_strided", "mm", "bmm", "matmul", "einsum", "convolution"):
        assert not is_free(f"aten::{name}")
    assert is_free("aten::add_")
    assert not is_free("other::add")
    names = [name for kind in FREE_OPERATIONS.values() for name in kind.split()]
    assert len(names) == len(set(names))


class Functional(nn.Module):
    """Functional layers, with interpolation, pooling and softmax between them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(x, self.weight)  # 16 pixels * 12
        y = F.max_pool2d(F.relu(y), 2).softmax(1)
        y = F.interpolate(y, scale_factor=2, mode="bilinear")
        y = F.layer_norm(y, y.shape[1:])
        flat = y.flatten(2)
        return flat @ flat.transpose(1, 2)  # 4 * 16 * 4


def test_functional_layers_in_the_convention_of_the_paper() -> None:
    """Products and norms count; functional ReLU, pooling and interpolation do not."""
    assert module_macs(Functional(), (1, 3, 4, 4)) == 16 * 12 + 2 * 64 + 4 * 16 * 4


def test_module_rules_of_the_paper() -> None:
    """Biases 1 per output, batch norm 2 per element, ReLU 1, pooling 1 per input, upsampling 1."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, groups=1),  # 16 * (108 + 4)
        nn.BatchNorm2d(4),  # 128
        nn.ReLU(),  # 64
        nn.AvgPool2d(2),  # 64
        nn.Upsample(scale_factor=2),  # 64
        nn.ConvTranspose2d(4, 2, 2, stride=2),  # 16 * 32 + 128
        nn.Flatten(),
        nn.Linear(128, 5),  # 645
    )
    assert module_macs(model, (1, 3, 4, 4)) == 16 * 112 + 128 + 64 + 64 + 64 + 640 + 645


def test_what_is_counted_can_be_chosen() -> None:
    """A caller leaves out the head, or any submodules, as tables of the paper do."""
    model = nn.Sequential()
    model.add_module("body", nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)))
    model.add_module("head", nn.Conv2d(4, 10, 1, bias=False))
    shape = (1, 3, 5, 5)
    assert module_macs(model, shape, exclude_head=True) == 25 * (12 + 8)
    no_norm = module_macs(model, shape, counts=lambda _, m: not isinstance(m, nn.BatchNorm2d))
    assert no_norm == 25 * (12 + 40)


@pytest.mark.parametrize("counter", [*COUNTERS, flop_counter_macs])
def test_counting_leaves_the_module_as_it_was(counter: Callable[..., object]) -> None:
    """Modes are restored part by part; weights, statistics and hooks are not touched."""
    model = nn.Sequential(ops.Involution2d(16), nn.BatchNorm2d(16), nn.Dropout())
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    counter(model, (2, 16, 8, 8))
    assert [part.training for part in model] == [True, False, True]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_modes_are_restored_after_a_failure() -> None:
    """A module that cannot run on the shape is still in training mode afterwards."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    for counter in COUNTERS:
        with pytest.raises(RuntimeError):
            counter(model, (1, 5, 4, 4))
        assert model.training


def test_batch_norm_counts_as_in_inference() -> None:
    """fvcore's 2 per element, not the 5 it gives a module in training mode."""
    assert trace_macs(nn.BatchNorm2d(4).train(), (2, 4, 3, 3)) == 2 * 72


def test_counting_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Neither fvcore's log lines nor TorchScript's deprecation reach the user."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU())
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        trace_macs(model, (1, 3, 4, 4))
    assert not caplog.records
    assert logging.getLogger("fvcore.nn.jit_analysis").level == logging.NOTSET
