"""The fused operators compute what generation and aggregation through a kernel tensor do."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import ops
from ops.involution import composition, fused, fusion

if ops.backends()["native"] != "available":
    pytest.skip(f"native: {ops.backends()['native']}", allow_module_level=True)

CHANNELS_LAST = torch.channels_last
SETTINGS = [
    # channels, kernel_size, stride, group_channels, reduction, dilation, (batch, height, width)
    (32, 3, 1, 16, 4, 1, (1, 30, 31)),
    (64, 7, 1, 16, 4, 1, (2, 14, 14)),
    (64, 7, 2, 16, 4, 1, (1, 15, 13)),
    (48, 7, 1, 16, 3, 1, (5, 7, 7)),
    (32, 5, 2, 8, 2, 1, (3, 9, 8)),
    (24, 9, 1, 4, 4, 1, (1, 6, 5)),
    (60, 3, 3, 20, 5, 2, (2, 8, 11)),
    (16, 11, 1, 1, 4, 1, (1, 5, 140)),
    (32, 7, 1, 32, 8, 1, (9, 2, 2)),
    (64, 7, 1, 16, 4, 1, (0, 7, 7)),
]


def layer(case: tuple[object, ...], dtype: torch.dtype = torch.float64) -> ops.Involution2d:
    """A layer with random weights and batch norm statistics."""
    torch.manual_seed(0)
    module = ops.Involution2d(*case[:6], backend="native")  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
        module.generator.norm.running_mean.normal_()
        module.generator.norm.running_var.uniform_(0.5, 2)
    return module.to(dtype)


def image(case: tuple[object, ...], memory_format: torch.memory_format = CHANNELS_LAST) -> Tensor:
    batch, height, width = case[6]  # type: ignore[misc]
    x = torch.randn(batch, case[0], height, width, dtype=torch.float64)  # type: ignore[call-overload]
    return x.to(memory_format=memory_format)


def unfused(module: ops.Involution2d, x: Tensor) -> Tensor:
    return module.aggregate(x, module.generator(x))


def called(function: Callable[[], object]) -> set[str]:
    """Names of the involution operators that run."""
    names: set[str] = set()

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func.namespace == "involution":
                names.add(func._opname)
            return func(*args, **(kwargs or {}))

    with Watch():
        function()
    return names


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, CHANNELS_LAST])
@pytest.mark.parametrize("case", SETTINGS, ids=str)
def test_eval_equals_the_unfused_layer(
    case: tuple[object, ...], memory_format: torch.memory_format
) -> None:
    """Batch norm folded in, pooled at any stride, in any layout."""
    module, x = layer(case).eval(), image(case, memory_format)
    with torch.no_grad():
        y, expected = module(x), unfused(module, x)
    torch.testing.assert_close(y, expected)
    assert y.stride() == expected.stride()


@pytest.mark.parametrize("case", [case for case in SETTINGS if case[6][0]], ids=str)  # type: ignore[index]
def test_training_step_equals_the_unfused_layers(case: tuple[object, ...]) -> None:
    module, x = layer(case), image(case).requires_grad_()
    other, z = copy.deepcopy(module), x.detach().clone().requires_grad_()
    y, expected = module(x), unfused(other, z)
    torch.testing.assert_close(y, expected)
    gradient = torch.randn_like(y)
    y.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(x.grad, z.grad)
    for parameter, wanted in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, wanted.grad)


def span_arguments(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, features, weight, bias of a small call with stride 2."""
    torch.manual_seed(0)
    shapes = (2, 4, 5, 4), (2, 3, 3, 2), (2, 3, 3, 3), (2, 3, 3)
    x, features, weight, bias = (torch.randn(shape, dtype=dtype) for shape in shapes)
    return (
        x.to(memory_format=CHANNELS_LAST).requires_grad_(),
        features.requires_grad_(),
        weight.requires_grad_(),
        bias.requires_grad_(),
    )


STEPS = ((2, 2), (1, 1), (1, 1), "native")


@pytest.mark.parametrize("with_bias", [True, False])
def test_gradients_of_every_order(with_bias: bool) -> None:
    x, features, weight, bias = span_arguments()

    def call(*tensors: Tensor) -> Tensor:
        given = tensors if with_bias else (*tensors, None)
        return fused.fused(*given, *STEPS)

    tensors = (x, features, weight, bias) if with_bias else (x, features, weight)
    assert torch.autograd.gradcheck(call, tensors)
    assert torch.autograd.gradgradcheck(call, tensors)


def test_backward_operator_equals_its_composition() -> None:
    tensors = [t.detach() for t in span_arguments()]
    gradient = torch.randn(2, 4, 3, 2, dtype=torch.float64)
    results = fused.fused_backward(gradient, *tensors, *STEPS)
    wanted = composition.composed_backward(gradient, *tensors, *STEPS)
    for result, want in zip(results, wanted, strict=True):
        torch.testing.assert_close(result, want)


def test_opcheck() -> None:
    """Schema, autograd registration, fake tensors and their strides, dynamic shapes."""
    arguments = span_arguments(torch.float32)
    torch.library.opcheck(fused.fused, (*arguments, *STEPS))
    torch.library.opcheck(fused.fused, (*arguments[:3], None, *STEPS))
    x, features, weight, bias = (t.detach() for t in arguments)
    gradient, reduce = torch.randn(2, 4, 3, 2), torch.randn(3, 4, 1, 1)
    norm = (torch.randn(3), torch.rand(3), torch.randn(3), torch.randn(3))
    torch.library.opcheck(fused.fused_backward, (gradient, x, features, weight, bias, *STEPS))
    torch.library.opcheck(fused.bottleneck, (x, reduce, *norm, weight, bias, 1e-5, *STEPS))


def test_bottleneck_is_differentiable_through_its_composition() -> None:
    x, _, weight, bias = span_arguments()
    reduce = torch.randn(3, 4, 1, 1, dtype=torch.float64, requires_grad=True)
    norm = [torch.rand(3, dtype=torch.float64) + 0.5 for _ in range(4)]

    def call(x: Tensor, reduce: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return fused.bottleneck(x, reduce, *norm, weight, bias, 1e-5, *STEPS)

    assert torch.autograd.gradcheck(call, (x, reduce, weight, bias))


@pytest.mark.parametrize("training", [False, True])
def test_compiles_and_exports(training: bool) -> None:
    case = SETTINGS[1]
    module, x = layer(case, torch.float32).train(training), image(case).float()
    with torch.no_grad():
        expected = copy.deepcopy(module)(x)
        program = torch.export.export(module, (x,))
        assert "involution" in str(program.graph)
        compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), expected)
    z = x.clone().requires_grad_()
    gradients = []
    for model in (
        module,
        torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager"),
    ):
        y = model(z)
        gradients.append(torch.autograd.grad(y, (z, model.generator.span.weight), y.detach()))
    for result, want in zip(*gradients, strict=True):
        torch.testing.assert_close(result, want)


def test_the_module_fuses_by_itself() -> None:
    case = SETTINGS[1]
    module, x = layer(case), image(case)
    module.backend = None
    assert called(lambda: module(x)) == {"fused"}
    module.eval()
    assert called(lambda: module(x)) == {"fused"}, "gradients may be wanted"
    with torch.no_grad():
        assert called(lambda: module(x)) == {"bottleneck"}
        module.backend = "torch"
        assert called(lambda: module(x)) == {"aggregate"}


def test_whoever_watches_or_replaces_a_part_sees_it_run() -> None:
    case = SETTINGS[1]
    module, x = layer(case).eval(), image(case)
    with torch.no_grad():
        assert fusion.parts(module.generator, x, None) is not None
        seen: list[nn.Module] = []
        handle = module.generator.norm.register_forward_hook(lambda part, *_: seen.append(part))
        module(x)
        assert seen == [module.generator.norm]
        handle.remove()
        assert fusion.parts(module.generator, x, None) is not None
        module.generator.norm = nn.Identity()
        torch.testing.assert_close(module(x), unfused(module, x))


def test_nothing_is_remembered_between_calls() -> None:
    """Weights and statistics changed behind autograd's back count at once."""
    case = SETTINGS[1]
    module, x = layer(case).eval(), image(case)
    with torch.no_grad():
        module(x)
        for tensor in module.state_dict().values():
            tensor.data.mul_(2)
        torch.testing.assert_close(module(x), unfused(module, x))


def test_same_bits_for_every_thread_count() -> None:
    threads = torch.get_num_threads()
    for case in SETTINGS[1:4]:
        module, x = layer(case, torch.float32), image(case).float().requires_grad_()
        runs = []
        try:
            for count in (1, 2, 3, 5):
                torch.set_num_threads(count)
                x.grad = None
                module.zero_grad()
                module.train()
                # what torch computes with several threads is not ours: features are fixed
                weight = module.generator.span.weight
                groups = case[0] // case[3]  # type: ignore[operator]
                view = weight.view(groups, case[1], case[1], -1)
                features = torch.relu(sample_features(module, x))
                half = (case[1] - 1) // 2  # type: ignore[operator]
                steps = [(s, s) for s in (case[2], half, 1)]
                y = fused.fused(x, features, view, None, *steps, "native")
                y.backward(torch.ones_like(y))
                module.eval()
                with torch.no_grad():
                    runs.append([y.detach(), module(x), x.grad, weight.grad])
        finally:
            torch.set_num_threads(threads)
        for run in runs[1:]:
            assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


def sample_features(module: ops.Involution2d, x: Tensor) -> Tensor:
    size = [-(-n // module.stride) for n in x.shape[2:]]
    generator = torch.Generator().manual_seed(3)
    return torch.randn(x.shape[0], module.generator.span.in_channels, *size, generator=generator)


@pytest.mark.parametrize("training", [False, True])
def test_bfloat16_accumulates_in_single(training: bool) -> None:
    case = SETTINGS[1]
    module, x = layer(case, torch.bfloat16).train(training), image(case).bfloat16()
    exact = copy.deepcopy(module).double()
    with torch.no_grad():
        y, expected = module(x), unfused(exact, x.double())
    assert y.dtype == torch.bfloat16
    error = (y.double() - expected).norm() / expected.norm()
    assert error < (2e-2 if training else 4e-3)


def test_autocast_runs_in_low_precision() -> None:
    case = SETTINGS[1]
    module, x = layer(case, torch.float32), image(case).float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert called(lambda: module(x)) == {"fused"}
        y = module(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert x.grad is not None
    assert module.generator.span.weight.grad.dtype == torch.float32


def test_other_types_and_back_ends_fall_back_to_the_composition() -> None:
    tensors = [t.detach() for t in span_arguments(torch.float16)]
    torch.testing.assert_close(
        fused.fused(*tensors, *STEPS[:3]).float(),
        fused.fused(*(t.float() for t in tensors), *STEPS[:3], "torch"),
        rtol=1e-2,
        atol=1e-2,
    )
    with pytest.raises(RuntimeError, match="it takes float32, bfloat16 and float64"):
        fused.fused(*tensors, *STEPS)


def test_poisoned_features_reach_their_pixel_alone() -> None:
    x, features, weight, bias = (t.detach() for t in span_arguments())
    features[1, 0, 2, 1] = float("nan")
    y = fused.fused(x, features, weight, bias, *STEPS)
    expected = torch.zeros_like(y, dtype=torch.bool)
    expected[1, :, 2, 1] = True
    assert torch.equal(y.isnan(), expected)


def test_errors_name_shapes() -> None:
    x, features, weight, bias = span_arguments()
    with pytest.raises(ValueError, match=r"features has shape \(2, 3, 2, 2\).*\(2, 3, 3, 2\)"):
        fused.fused(x, features[:, :, :2, :2], weight, bias, *STEPS)
    with pytest.raises(ValueError, match=r"weight must be \(G, K, K, C_features\)"):
        fused.fused(x, features, weight[0], bias, *STEPS)


def test_memory_is_a_fraction_of_the_kernel_tensor() -> None:
    """One layer at 56 x 56: nothing that torch allocates comes near the kernel it never stores."""
    module = ops.Involution2d(64).eval().to(memory_format=CHANNELS_LAST)
    x = torch.randn(2, 64, 56, 56).to(memory_format=CHANNELS_LAST)
    with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profile:
        y = module(x)
    allocated = sum(max(0, event.self_cpu_memory_usage) for event in profile.events())
    assert allocated <= y.nbytes + 0.1 * 4 * 49 * 4 * 2 * 56 * 56


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"features": torch.ones(2, 3, 4, 4).double()}, TypeError, "features is torch.float64"),
        ({"features": torch.ones(2, 3, 4, 4, device="meta")}, TypeError, "features .* on meta"),
        ({"bias": torch.ones(2, 3)}, ValueError, r"bias must be \(G, K, K\)"),
        ({"bias": torch.ones(2, 3, 2)}, ValueError, r"bias has shape \(2, 3, 2\)"),
        ({"bias": torch.ones(2, 3, 3).half()}, TypeError, "bias is torch.float16"),
        ({"weight": torch.ones(2, 3, 2, 3)}, ValueError, r"weight has shape \(2, 3, 2, 3\)"),
        ({"weight": torch.ones(2, 3, 3, 3).bfloat16()}, TypeError, "weight is torch.bfloat16"),
    ],
)
def test_every_tensor_of_a_fused_call_is_checked(
    changed: dict[str, Tensor], error: type[Exception], message: str
) -> None:
    """A back end reads them through pointers: what does not fit must not reach it."""
    tensors = {
        "x": torch.ones(2, 4, 4, 4),
        "features": torch.ones(2, 3, 4, 4),
        "weight": torch.ones(2, 3, 3, 3),
        "bias": torch.ones(2, 3, 3),
        **changed,
    }
    window = ([1, 1], [1, 1], [1, 1])
    with pytest.raises(error, match=message):
        torch.ops.involution.fused(*tensors.values(), *window)


@pytest.mark.parametrize(
    ("grad_output", "error"),
    [
        (torch.ones(2, 4, 4, 5), ValueError),
        (torch.ones(2, 4, 4), ValueError),
        (torch.ones(2, 4, 4, 4).double(), TypeError),
        (torch.ones(2, 4, 4, 4, device="meta"), TypeError),
    ],
)
def test_the_gradient_of_a_fused_call_is_checked(
    grad_output: Tensor, error: type[Exception]
) -> None:
    x, features = torch.ones(2, 4, 4, 4), torch.ones(2, 3, 4, 4)
    weight, bias = torch.ones(2, 3, 3, 3), torch.ones(2, 3, 3)
    window = ([1, 1], [1, 1], [1, 1])
    with pytest.raises(error, match="grad_output"):
        torch.ops.involution.fused_backward(grad_output, x, features, weight, bias, *window)
