"""What people do to layers: other types and devices in a part, hooks, replaced parts and forwards.

The fast path must give what the ordinary modules give, or step aside; some cases used to end the
process, so all that could are run in a child.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from forked import printed
from torch import Tensor, nn

import ops
from ops.pointwise import Pointwise

Change = Callable[[ops.Involution2d], object]


def layer(channels: int = 32, kernel_size: int = 3) -> ops.Involution2d:
    torch.manual_seed(0)
    made = ops.Involution2d(channels, kernel_size).eval()
    norm = made.generator.norm
    with torch.no_grad():
        for tensor in (norm.running_mean, norm.weight, norm.bias):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    return made.to(memory_format=torch.channels_last)


def image(channels: int = 32, dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.randn(2, channels, 6, 5, generator=torch.Generator().manual_seed(1))
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def ordinary(module: ops.Involution2d, x: Tensor) -> Tensor:
    """By the generator's own modules, as they are called with a hook."""
    watched = copy.deepcopy(module)
    watched.generator.register_forward_hook(lambda *_: None)
    return watched(x)


def _strided(module: ops.Involution2d) -> None:
    norm = module.generator.norm
    norm.running_var = torch.stack([norm.running_var, -norm.running_var], 1)[:, 0]


def _negative(module: ops.Involution2d) -> None:
    mean = module.generator.norm.running_mean
    module.generator.norm.running_mean = torch.complex(torch.zeros_like(mean), -mean).conj().imag


VALID: dict[str, Change] = {
    "nothing": lambda module: None,
    "statistics in another order of memory": _strided,
    "a negated view": _negative,
    "parameters assigned": lambda module: module.load_state_dict(
        {name: one.clone() for name, one in layer().state_dict().items()}, assign=True
    ),
    "a bias of the reduction": lambda module: setattr(
        module.generator.reduce, "bias", nn.Parameter(torch.ones(8))
    ),
    "no bias": lambda module: setattr(module.generator.span, "bias", None),
    "no statistics": lambda module: setattr(
        module.generator, "norm", nn.BatchNorm2d(8, track_running_stats=False).eval()
    ),
    "no scales": lambda module: setattr(
        module.generator, "norm", nn.BatchNorm2d(8, affine=False).eval()
    ),
}


@pytest.mark.parametrize("change", VALID.values(), ids=VALID.keys())
def test_a_changed_part_gives_what_the_modules_give(change: Change) -> None:
    module, x = layer(), image()
    change(module)
    with torch.no_grad():
        torch.testing.assert_close(module(x), ordinary(module, x), rtol=1e-4, atol=1e-5)


def test_a_negated_image_is_not_read_as_it_lies() -> None:
    module, x = layer(), image()
    negated = torch.complex(torch.zeros_like(x), -x).conj().imag
    assert negated.is_neg()
    with torch.no_grad():
        torch.testing.assert_close(module(negated), module(x))


def test_a_bf16_layer_with_its_batch_norm_in_fp32() -> None:
    """As mixed-precision libraries leave it."""
    module, x = layer().bfloat16(), image(dtype=torch.bfloat16)
    module.generator.norm.float()
    with torch.no_grad():
        y = module(x)
        assert y.isfinite().all()
        torch.testing.assert_close(y, ordinary(module, x), rtol=5e-2, atol=5e-2)


ANSWER = """
layer = ops.Involution2d(32, 3).eval()
x = torch.randn(2, 32, 6, 5)
{change}
with torch.no_grad():
    try:
        y = layer(x)
    except (RuntimeError, NotImplementedError):
        print("refused")
    else:
        print("answered", tuple(y.shape), y.device)
"""
WRONG = [
    "layer.to('meta')",
    "layer.generator.norm.to('meta')",
    "x = torch.randn(2, 16, 6, 5)",
    "x = torch.randn(2, 32, 6)",
    "x = x.double()",
    "layer.generator.reduce.double()",
    "layer.generator.span.double()",
    "layer.generator.span.bias = torch.nn.Parameter(layer.generator.span.bias.half())",
    "layer.generator.span.bias = torch.nn.Parameter(torch.zeros(5))",
    "layer.generator.norm.running_var = torch.ones(3)",
    "layer.bfloat16().generator.norm.running_var = torch.ones(8); x = x.bfloat16()",
    "layer.generator.norm.weight = torch.nn.Parameter(torch.ones(3))",
    "layer.generator.reduce.weight = torch.nn.Parameter(torch.zeros(4, 32, 1, 1))",
]
META = "layer.to('meta'); x = x.to('meta')"


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """Change -> what the changed layer does."""
    changes = [*WRONG, META]
    return dict(zip(changes, printed([ANSWER.format(change=one) for one in changes]), strict=True))


@pytest.mark.parametrize("change", WRONG)
def test_what_does_not_fit_is_refused_as_torch_refuses_it(
    answers: dict[str, str], change: str
) -> None:
    """Never a crash, and never an answer."""
    assert answers[change] == "refused\n"


def test_on_the_meta_device_there_are_shapes(answers: dict[str, str]) -> None:
    assert answers[META] == "answered (2, 32, 6, 5) meta\n"


@pytest.mark.parametrize("part", ["reduce", "norm", "span"])
def test_an_instances_own_forward_is_called(part: str) -> None:
    module, x = layer(), image()
    changed = getattr(module.generator, part)
    usual = changed.forward
    changed.forward = lambda value: 2 * usual(value)
    with torch.no_grad():
        expected = ordinary(module, x)
        torch.testing.assert_close(module(x), expected)
        del changed.forward
        assert not torch.allclose(module(x), expected)


@pytest.mark.parametrize("with_gradients", [False, True])
def test_a_pointwise_convolution_checks_what_it_multiplies(with_gradients: bool) -> None:
    conv, x = Pointwise(32, 8, bias=True).eval(), image()
    assert conv.bias is not None
    conv.bias = nn.Parameter(conv.bias.double())
    with torch.set_grad_enabled(with_gradients), pytest.raises(RuntimeError):
        conv(x)


def replica(module: nn.Module) -> nn.Module:
    """As torch.nn.parallel.replicate makes them: what were parameters are plain attributes."""
    made = module._replicate_for_data_parallel()
    for name, child in module._modules.items():
        made._modules[name] = None if child is None else replica(child)
    for name, parameter in module._parameters.items():
        setattr(made, name, None if parameter is None else parameter.detach().clone())
    return made


@pytest.mark.parametrize("training", [False, True])
def test_a_replica_of_data_parallel_computes_what_its_original_does(training: bool) -> None:
    module, x = layer().train(training), image()
    with torch.no_grad():
        torch.testing.assert_close(replica(module)(x), module(x), rtol=1e-4, atol=1e-5)
