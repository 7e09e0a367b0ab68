"""Every counter that takes a module says the same, and it is what a formula says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from counted_modules import CATALOGUE, Counted, With
from torch import Tensor, nn

from invsearch.cost import flop_counter_macs, meta_macs, module_macs, peak_memory, trace_macs
from invsearch.errors import CheckError


def by_flop_counter(module: nn.Module, shape: tuple[int, ...]) -> int:
    return sum(flop_counter_macs(module, shape).values())


COUNTERS: tuple[Callable[..., int], ...] = (trace_macs, meta_macs, by_flop_counter, module_macs)


def figures(module: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    return {counter.__name__: counter(module, shape) for counter in COUNTERS}


def expected(row: Counted) -> dict[str, int]:
    return {
        "trace_macs": row.products + row.fvcore,
        "meta_macs": row.products + row.fvcore,
        "by_flop_counter": row.products,
        "module_macs": row.products + row.paper,
    }


def test_the_catalogue_is_large_enough() -> None:
    assert len(CATALOGUE) >= 60


@pytest.mark.parametrize("name", CATALOGUE)
def test_all_counters_say_what_the_formula_says(name: str) -> None:
    row = CATALOGUE[name]
    assert figures(row.make(), row.shape) == expected(row)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize(
    "name", ["conv2d", "linear", "lstm", "gru", "encoder layer", "batch norm", "involution"]
)
def test_the_type_of_the_weights_does_not_matter(name: str, dtype: torch.dtype) -> None:
    row = CATALOGUE[name]
    module = row.make().to(dtype)
    before = copy.deepcopy(module.state_dict())
    assert figures(module, row.shape) == expected(row)
    for key, value in module.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])


def test_memory_is_of_the_type_of_the_weights() -> None:
    row = CATALOGUE["conv2d"]
    single, half = (peak_memory(row.make().to(dtype), row.shape) for dtype in (None, torch.half))
    assert single == 2 * half


def test_attention_costs_the_same_in_training_and_in_its_fused_eval_path() -> None:
    """The fused path is switched off for the count alone."""
    row = CATALOGUE["encoder layer"]
    assert torch.backends.mha.get_fastpath_enabled()
    assert figures(row.make().train(), row.shape) == figures(row.make().eval(), row.shape)
    assert torch.backends.mha.get_fastpath_enabled()


def tries(x: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
    try:
        return first(x)
    except ZeroDivisionError:
        return torch.relu(second(x)) @ x.mT


class Failing(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        raise ZeroDivisionError


def test_a_part_that_raises_and_is_caught_leaves_nothing_behind() -> None:
    """After it a functional ReLU is still outside of any layer."""
    module = With(tries, Failing(), nn.Identity())
    assert set(figures(module, (2, 5, 6)).values()) == {2 * 5 * 5 * 6}


def windows(x: Tensor) -> Tensor:
    return torch.nn.functional.unfold(x, 3).sum(1)


def strided(x: Tensor) -> Tensor:
    return x.as_strided((2, 3, 6, 6, 3, 3), (192, 64, 8, 1, 8, 1)).sum((4, 5))


def unnamed(x: Tensor) -> Tensor:
    return torch.ops.invsearch_counters_test.unnamed(x)


LIBRARY = torch.library.Library("invsearch_counters_test", "DEF")
LIBRARY.define("unnamed(Tensor x) -> Tensor")
LIBRARY.impl("unnamed", lambda x: x * 2, "CPU")  # and none for the meta device

REFUSED: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "windows": (windows, "aten::im2col"),
    "overlapping views": (strided, "aten::as_strided"),
    "a transform": (lambda x: torch.fft.rfft2(x), "aten::_?fft_r"),
    "distances": (lambda x: torch.cdist(x, x), "aten::_?cdist"),
    "an exponential": (lambda x: torch.linalg.matrix_exp(x), "aten::linalg_matrix_exp"),
    "a product that is summed by hand": (
        lambda x: torch.linalg.vecdot(x, x),
        "aten::linalg_vecdot",
    ),
    "somebody's operation": (unnamed, "invsearch_counters_test::unnamed"),
    "what is computed and not used": (lambda x: (windows(x), x)[1], "aten::im2col"),
}


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_nothing_counts_is_refused_by_name(name: str, counter: Callable[..., int]) -> None:
    """Of the operation and of the module where it is, whatever else is counted."""
    function, operation = REFUSED[name]
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU(), With(function)))
    with pytest.raises(CheckError, match=rf"{operation}.* in 1\.1\b"):
        counter(module, (2, 3, 8, 8))


@pytest.mark.parametrize("counter", [*COUNTERS, peak_memory])
def test_scripted_parts_are_refused(counter: Callable[..., int]) -> None:
    with pytest.warns((DeprecationWarning, FutureWarning), match="torch.jit"):
        scripted = torch.jit.script(nn.Conv2d(3, 3, 1))
    with pytest.raises(CheckError, match="1 is scripted"):
        counter(nn.Sequential(nn.Conv2d(3, 3, 1), scripted), (2, 3, 8, 8))


@pytest.mark.parametrize("counter", [*COUNTERS, peak_memory])
def test_lazy_parts_are_refused_and_stay_lazy(counter: Callable[..., int]) -> None:
    module = nn.Sequential(nn.LazyConv2d(4, 1))
    with pytest.raises(CheckError, match="0 is lazy"):
        counter(module, (2, 3, 8, 8))
    assert isinstance(module[0], nn.LazyConv2d)


def test_a_trace_needs_weights_with_values() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 4, 1))
    with pytest.raises(CheckError, match="weights of 0 are on the meta device.*meta_macs"):
        trace_macs(module, (2, 3, 8, 8))
    module = nn.Sequential(Packed())
    with pytest.raises(CheckError, match="0._extra_state is a dict and no tensor"):
        trace_macs(module, (2, 3, 8, 8))


class Packed(nn.Module):
    """Weights that are no tensors, as torch's quantised layers have them."""

    def get_extra_state(self) -> dict[str, int]:
        return {"scale": 1}

    def forward(self, x: Tensor) -> Tensor:
        return x


@dataclass
class Detections:
    """Neither a tensor nor a collection of torch's."""

    boxes: Tensor
    label: str


@pytest.mark.parametrize("counter", COUNTERS)
def test_a_module_may_return_whatever_it_likes(counter: Callable[..., int]) -> None:
    linear = nn.Linear(6, 4, bias=False)
    for output in (lambda y: Detections(y, "cat"), lambda y: {"a": [y, None, 3]}, lambda y: None):
        module = With(lambda x, f, output=output: output(f(x)), linear)
        assert counter(module, (2, 5, 6)) == 10 * 24


@pytest.mark.parametrize(
    "name", ["conv2d", "linear", "layer norm", "encoder", "adaptive average pool"]
)
def test_rules_are_fvcores_where_fvcore_is_right(name: str) -> None:
    """Its own handles, which we replace, on layers that it has no trouble with."""
    from fvcore.nn import FlopCountAnalysis

    row = CATALOGUE[name]
    module = nn.Sequential(row.make()).train(False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        analysis = FlopCountAnalysis(module, torch.zeros(row.shape))
        theirs = analysis.unsupported_ops_warnings(False).total()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    attention = 2 * 2 * 2 * 25 * 6 if name == "encoder" else 0  # its trace has no rule for it
    assert trace_macs(module, row.shape) == theirs + attention
