"""What every registered operator must do.

To test yours (this needs pytest and fvcore), in a test module of your own::

    from ops.testing import OperatorConformance, Variant

    class TestMine(OperatorConformance):
        @pytest.fixture(params=[Variant("mine"), Variant("mine", {"kernel_size": 5})], ids=str)
        def variant(self, request):
            return request.param
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import ops

CHANNELS = 32
COMPARED = {"conv", "linear", "aggregate", "grad_kernel", "grad_input"}
"""What fvcore and FlopCounterMode both count; batch norm and pooling they count differently."""


@dataclass(frozen=True)
class Variant:
    """An operator with some of its settings."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> ops.OpSpec:
        return ops.get(self.name)

    def make(self, stride: int = 1, *, training: bool = False, device: str = "cpu") -> nn.Module:
        """The module, its weights seeded and its batch statistics not trivial."""
        torch.manual_seed(0)
        module = self.spec.make(CHANNELS, stride=stride, **self.settings)
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean = torch.randn(norm.num_features) * 0.1
                norm.running_var = torch.rand(norm.num_features) + 0.5
        return module.train(training).to(device)

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.settings.items())])


def images(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
    """Seeded normal numbers."""
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return numbers.to(device)


def fvcore_macs(variant: Variant, module: nn.Module, x: Tensor) -> dict[str, float]:
    """fvcore's count by operator, with the handles that the operator registered."""
    analysis = FlopCountAnalysis(module, x)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    for name, handle in variant.spec.trace_handles.items():
        analysis.set_op_handle(
            name,
            lambda inputs, outputs, handle=handle: handle(
                [get_shape(one) for one in inputs], [get_shape(one) for one in outputs]
            ),
        )
    return dict(analysis.by_operator())


def flop_counter_flops(module: nn.Module, x: Tensor) -> int:
    """What torch's FlopCounterMode counts, 2 a multiply-add, for whoever merely uses it."""
    with FlopCounterMode(display=False) as mode, torch.no_grad():
        module(x)
    return int(mode.get_total_flops())


def assert_alike(ours: Tensor, theirs: Tensor) -> None:
    """Equal up to rounding: compiled code multiplies with another library than eager code."""
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@functools.cache
def pooling_exports_every_size() -> bool:
    """Whether what `torch.export` makes of torch's own pooling takes sizes of any remainder.

    Before torch 2.13 it takes those that leave the example's remainder by the stride.
    """
    dynamic = ({2: torch.export.Dim.AUTO},)
    program = torch.export.export(
        nn.AvgPool2d(2), (torch.zeros(1, 1, 9, 8),), dynamic_shapes=dynamic
    )
    try:
        program.module()(torch.zeros(1, 1, 12, 8))
    except AssertionError:  # torch's guard
        return False
    return True


class OperatorConformance:
    """The tests; a subclass gives the fixture `variant`.

    Those that compute take the fixture `device`, so that a subclass can run them on another one.
    """

    @pytest.fixture
    def device(self) -> str:
        return "cpu"

    @pytest.fixture(params=[1, 2, 3], ids="stride={}".format)
    def stride(self, request: pytest.FixtureRequest) -> int:
        return int(request.param)

    @pytest.fixture(autouse=True)
    def fresh_compiler(self) -> Iterator[None]:
        """Compiled graphs are cached by code, and one test's must not fill another's cache."""
        yield
        torch._dynamo.reset()

    def test_output_shape_for_sizes_no_stride_divides(
        self, variant: Variant, device: str, stride: int
    ) -> None:
        for height, width in ((8, 8), (9, 7), (1, 5), (7, 10)):
            y = variant.make(stride, device=device)(
                images(2, CHANNELS, height, width, device=device)
            )
            expected = (2, CHANNELS, math.ceil(height / stride), math.ceil(width / stride))
            assert tuple(y.shape) == expected

    def test_params_equal_the_modules(self, variant: Variant) -> None:
        counted = sum(p.numel() for p in variant.make().parameters() if p.requires_grad)
        assert variant.spec.params(CHANNELS, **variant.settings) == counted

    def test_macs_equal_fvcores(self, variant: Variant, stride: int) -> None:
        x = images(2, CHANNELS, 9, 11)
        traced = fvcore_macs(variant, variant.make(stride), x)
        closed = variant.spec.macs(tuple(x.shape), "fvcore", stride=stride, **variant.settings)
        assert closed == sum(traced.values())

    def test_flop_counter_agrees_on_convolution_and_aggregation(
        self, variant: Variant, stride: int
    ) -> None:
        x, module = images(2, CHANNELS, 9, 11), variant.make(stride)
        traced = fvcore_macs(variant, module, x)
        shared = sum(macs for name, macs in traced.items() if name in COMPARED)
        assert flop_counter_flops(module, x) == 2 * shared

    def test_paper_macs_are_at_least_the_multiplications(
        self, variant: Variant, stride: int
    ) -> None:
        shape = (2, CHANNELS, 9, 11)
        count = {
            convention: variant.spec.macs(shape, convention, stride=stride, **variant.settings)
            for convention in ("fvcore", "paper")
        }
        assert count["paper"] >= count["fvcore"] > 0

    def test_gradients_reach_input_and_every_parameter(
        self, variant: Variant, device: str, stride: int
    ) -> None:
        x, module = (
            images(2, CHANNELS, 7, 6, device=device).requires_grad_(),
            variant.make(stride, training=True, device=device),
        )
        module(x).square().sum().backward()
        for name, tensor in [("x", x), *module.named_parameters()]:
            assert tensor.grad is not None, name
            assert tensor.grad.isfinite().all(), name
            assert tensor.grad.abs().sum() > 0, name

    def test_gradcheck(self, variant: Variant, device: str, stride: int) -> None:
        module = variant.make(stride, device=device).double()
        names = [name for name, _ in module.named_parameters()]
        weights = [p.detach().requires_grad_() for p in module.parameters()]

        def call(x: Tensor, *values: Tensor) -> Tensor:
            named = dict(zip(names, values, strict=True))
            result: Tensor = torch.func.functional_call(module, named, (x,))
            return result

        x = images(1, CHANNELS, 5, 4, dtype=torch.float64, device=device).requires_grad_()
        assert torch.autograd.gradcheck(call, (x, *weights), fast_mode=True)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
    def test_dtypes(self, variant: Variant, device: str, stride: int, dtype: torch.dtype) -> None:
        module, x = variant.make(stride, device=device), images(2, CHANNELS, 9, 7, device=device)
        exact = module.double()(x.double())
        y = module.to(dtype)(x.to(dtype))
        assert y.dtype == dtype
        error = (y.double() - exact).norm() / exact.norm()
        assert error < 8 * torch.finfo(dtype).eps

    def test_empty_batch(self, variant: Variant, device: str, stride: int) -> None:
        x, module = (
            images(0, CHANNELS, 6, 5, device=device).requires_grad_(),
            variant.make(stride, device=device),
        )
        y = module(x)
        assert tuple(y.shape) == (0, CHANNELS, math.ceil(6 / stride), math.ceil(5 / stride))
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.shape == x.shape

    def test_channels_last_gives_the_same_values_and_keeps_its_format(
        self, variant: Variant, device: str, stride: int
    ) -> None:
        x, module = images(2, CHANNELS, 9, 8, device=device), variant.make(stride, device=device)
        y = module(x)
        last = module(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(last, y)
        assert last.is_contiguous(memory_format=torch.channels_last)
        assert y.is_contiguous()

    def test_compiles_without_graph_breaks(
        self, variant: Variant, device: str, stride: int
    ) -> None:
        x, module = (
            images(2, CHANNELS, 9, 8, device=device).requires_grad_(),
            variant.make(stride, device=device),
        )
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        y, expected = compiled(x), module(x)
        assert_alike(y, expected)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        (wanted,) = torch.autograd.grad(expected.square().sum(), x)
        torch.testing.assert_close(gradient, wanted)

    def test_compiles_for_any_size(self, variant: Variant, device: str) -> None:
        module = variant.make(2, device=device)
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
        with torch.no_grad():
            for shape in ((2, CHANNELS, 9, 8), (3, CHANNELS, 12, 7)):
                x = images(*shape, device=device)
                assert_alike(compiled(x), module(x))

    def test_exports(self, variant: Variant, device: str, stride: int) -> None:
        module, x = variant.make(stride, device=device), images(2, CHANNELS, 9, 8, device=device)
        dynamic = ({0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
        exported = torch.export.export(module, (x,), dynamic_shapes=dynamic).module()
        sizes = (12, 7) if stride == 1 or pooling_exports_every_size() else (9 + 6, 8 + 6)
        for one in (x, images(3, CHANNELS, *sizes, device=device)):
            assert_alike(exported(one), module(one))

    def test_autocast_runs_in_low_precision(self, variant: Variant, device: str) -> None:
        module, x = variant.make(device=device), images(2, CHANNELS, 9, 8, device=device)
        with torch.autocast(device, dtype=torch.bfloat16), torch.no_grad():
            y = module(x)
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.float(), module(x), rtol=0.1, atol=0.1)

    @pytest.mark.parametrize("channels", [4, 12, 20, 24, 48, 96])
    def test_it_fits_every_width(self, variant: Variant, channels: int) -> None:
        """Of even channels; what `fit` gives is valid, is not changed again, and builds."""
        spec = variant.spec
        fitted = spec.fit(channels, variant.settings)
        assert spec.problem(channels, fitted) is None
        assert spec.fit(channels, fitted) == fitted
        module = spec.make(channels, **fitted).eval()
        assert module(images(1, channels, 5, 4)).shape == (1, channels, 5, 4)

    def test_an_impossible_setting_is_named(self, variant: Variant) -> None:
        spec = variant.spec
        with pytest.raises(ValueError, match="no_such_setting"):
            spec.make(CHANNELS, **{**variant.settings, "no_such_setting": 1})
        for name in spec.hyperparameters:
            with pytest.raises(ValueError, match=name):
                spec.make(CHANNELS, **{**variant.settings, name: "nonsense"})
