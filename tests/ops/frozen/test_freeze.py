"""`ops.freeze`: the same results from fewer calls, whatever a module does; never a wrong one."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

import ops
from ops.frozen.convolution import FrozenConvolution
from ops.frozen.normalised import FrozenNorm


def settled(module: nn.Module) -> nn.Module:
    """In eval mode, with batch norms that change what goes through them."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for vector, low in ((norm.weight, 0.5), (norm.bias, -0.5), (norm.running_mean, -0.5)):
                vector.data.uniform_(low, low + 1, generator=generator)
            norm.running_var.data.uniform_(0.5, 2.0, generator=generator)
    return module.eval()


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def equal(module: nn.Module, x: Tensor, tolerance: float = 1e-5) -> nn.Module:
    """The frozen module, once it was seen to compute what the module does, and leave x alone."""
    frozen, before = ops.freeze(module), x.clone()
    for _ in range(2):  # with weights that are packed, too
        for way in (x, x.contiguous(memory_format=torch.channels_last), x[:1]):
            with torch.inference_mode():
                expected, found = module(way.clone()), frozen(way)
            assert found.shape == expected.shape
            assert found.dtype == expected.dtype
            scale = max(1e-6, float(expected.abs().max()))
            assert float((found - expected).abs().max()) <= tolerance * scale
    assert torch.equal(x, before)
    return frozen


def steps(frozen: nn.Module) -> list[str]:
    known = (FrozenConvolution, FrozenNorm, nn.BatchNorm2d, nn.Conv2d, nn.ReLU)
    inside = {id(m) for n in frozen.modules() if isinstance(n, FrozenNorm) for m in n.children()}
    found = [m for m in frozen.modules() if isinstance(m, known) and id(m) not in inside]
    return sorted(type(module).__name__ for module in found)


class Basic(nn.Module):
    """As torchvision writes it: in-place sum and ReLU, one module for both ReLUs."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, channels, 1, stride), nn.BatchNorm2d(channels))
            if stride > 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class Forward(nn.Module):
    """A few layers under a forward of the test's."""

    def __init__(self, forward: Callable[[Forward, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.other, self.last = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        self.layer = ops.Involution2d(8, 3, group_channels=4)
        self.how = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self, x)


def mutates_what_was_convolved(m: Forward, x: Tensor) -> Tensor:
    y = m.conv(x)
    x = x.relu_()
    return F.relu(m.norm(y) + x)


def adds_into_the_shortcut(m: Forward, x: Tensor) -> Tensor:
    shortcut = m.other(x)
    keep = shortcut
    shortcut += m.norm(m.conv(x))
    return F.relu(shortcut) - keep


def uses_the_sum_twice(m: Forward, x: Tensor) -> Tensor:
    y = m.norm(m.conv(x)) + x
    return torch.relu(y) + 2 * y


def uses_the_convolution_twice(m: Forward, x: Tensor) -> Tensor:
    y = m.conv(x)
    return m.norm(y) * m.last(y)


def calls_layers_twice(m: Forward, x: Tensor) -> Tensor:
    y = F.relu6(m.norm(m.conv(x)))
    return F.relu6(m.last(m.conv(y))) + m.norm(m.other(y))


def adds_a_number_and_a_scaled_one(m: Forward, x: Tensor) -> Tensor:
    y = torch.add(m.norm(m.conv(x)), x, alpha=2)
    return F.relu(m.last(m.other(y)) + 1)


def adds_a_smaller_one(m: Forward, x: Tensor) -> Tensor:
    return F.relu(m.last(m.other(x)) + x.mean((2, 3), keepdim=True))


def an_involution_with_a_shortcut(m: Forward, x: Tensor) -> Tensor:
    return F.relu(m.norm(m.layer(x)) + x) + F.relu(m.last(m.layer(x)))


def looks_at_values(m: Forward, x: Tensor) -> Tensor:
    y = m.norm(m.conv(x))
    return F.relu(y) if float(y.detach().sum()) > 0 else y


def draws(m: Forward, x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return m.norm(m.conv(x)) + torch.rand(8, 1, 1)


FORWARDS = [
    mutates_what_was_convolved,
    adds_into_the_shortcut,
    uses_the_sum_twice,
    uses_the_convolution_twice,
    calls_layers_twice,
    adds_a_number_and_a_scaled_one,
    adds_a_smaller_one,
    an_involution_with_a_shortcut,
    looks_at_values,
    draws,
]


@pytest.mark.parametrize("forward", FORWARDS, ids=lambda one: one.__name__)
def test_whatever_a_forward_does_stays_what_it_does(
    forward: Callable[[Forward, Tensor], Tensor],
) -> None:
    torch.manual_seed(0)
    module = settled(Forward(forward))
    frozen, x = ops.freeze(module), images(3, 8, 9, 11)
    for way in (x, x.contiguous(memory_format=torch.channels_last)):
        with torch.inference_mode():
            expected, found = module(way.clone()), frozen(way.clone())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_third_partys_network_becomes_a_call_a_layer() -> None:
    torch.manual_seed(0)
    stem = (nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
    network = settled(nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), Basic(16), Basic(16, 2)))
    frozen = equal(network, images(3, 3, 45, 50))
    assert steps(frozen) == ["FrozenConvolution"] * 6


def test_an_involutions_norm_and_relu_are_one_pass() -> None:
    torch.manual_seed(0)
    layers = (ops.Involution2d(16, 7, group_channels=8), nn.BatchNorm2d(16), nn.ReLU())
    frozen = equal(settled(nn.Sequential(*layers)), images(2, 16, 10, 9))
    assert steps(frozen) == ["BatchNorm2d", "FrozenNorm", "Pointwise", "Pointwise"]  # its generator


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize(("size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_convolutions_of_every_kind(groups: int, size: int, stride: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, size, stride, size // 2 * 2, dilation=2, groups=groups)
    equal(settled(nn.Sequential(conv, nn.BatchNorm2d(16), nn.ReLU6())), 4 * images(2, 8, 12, 9))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.bfloat16, 0.05)])
def test_other_types_run_by_torchs_operators(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    equal(settled(Basic(8)).to(dtype), images(2, 8, 9, 9).to(dtype), tolerance)


def test_a_hooked_layer_is_called_and_seen_as_it_was() -> None:
    torch.manual_seed(0)
    module = settled(nn.Sequential(Basic(8), Basic(8)))
    seen: list[Tensor] = []
    module[0].bn2.register_forward_hook(lambda m, args, y: seen.append(y.clone()))
    frozen = equal(module, images(2, 8, 9, 9))
    assert "BatchNorm2d" in steps(frozen)
    seen.clear()
    x = images(1, 8, 9, 9)
    with torch.no_grad():
        module(x), frozen(x)
    torch.testing.assert_close(seen[1], seen[0])


def test_a_hooked_block_stays_whole() -> None:
    torch.manual_seed(0)
    module = settled(nn.Sequential(Basic(8), Basic(8)))
    module[1].register_forward_hook(lambda m, args, y: y + 1)
    equal(module, images(2, 8, 9, 9))


class _Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def test_parametrized_and_subclassed_convolutions_stay_layers() -> None:
    class Own(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    torch.manual_seed(0)
    doubled = parametrize.register_parametrization(nn.Conv2d(8, 8, 1), "weight", _Doubled())
    norms = [nn.BatchNorm2d(8) for _ in range(2)]
    equal(settled(nn.Sequential(doubled, norms[0], Own(8, 8, 1), norms[1])), images(2, 8, 5, 5))


def test_the_network_stays_as_it_was_and_the_copy_cannot_be_trained() -> None:
    module = settled(Basic(8))
    before = copy.deepcopy(module.state_dict())
    frozen = ops.freeze(module)
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key])
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert frozen.eval() is frozen
    with pytest.raises(RuntimeError, match="cannot be trained"):
        frozen.train()


def test_what_is_in_training_mode_is_refused_and_named() -> None:
    module = settled(nn.Sequential(Basic(8)))
    module[0].bn1.train()
    with pytest.raises(ValueError, match=r"'0\.bn1'.*eval"):
        ops.freeze(module)
    with pytest.raises(TypeError, match="takes a module"):
        ops.freeze(torch.relu)  # type: ignore[arg-type]


def test_copies_pickles_and_frozen_again() -> None:
    torch.manual_seed(0)
    frozen, x = ops.freeze(settled(Basic(8))), images(2, 8, 9, 9)
    with torch.inference_mode():
        expected = frozen(x)
        for other in (copy.deepcopy(frozen), ops.freeze(frozen)):
            assert torch.equal(other(x), expected)
        step = next(m for m in frozen.modules() if isinstance(m, FrozenConvolution))
        again = pickle.loads(pickle.dumps(step))
        torch.testing.assert_close(again(x), step(x))


def test_gradients_of_the_input_and_transforms() -> None:
    torch.manual_seed(0)
    module = settled(Basic(8)).double().requires_grad_(False)
    frozen, x = ops.freeze(module), images(2, 8, 7, 7).double().requires_grad_()
    (expected,) = torch.autograd.grad(module(x).square().sum(), x)
    (found,) = torch.autograd.grad(frozen(x).square().sum(), x)
    torch.testing.assert_close(found, expected)


def test_weights_that_are_changed_are_packed_again() -> None:
    torch.manual_seed(0)
    frozen = ops.freeze(settled(nn.Sequential(nn.Conv2d(8, 8, 1, bias=False))))
    step = next(m for m in frozen.modules() if isinstance(m, FrozenConvolution))
    x = images(2, 8, 5, 5)
    with torch.no_grad():
        once = frozen(x)
        step.weight.mul_(2)
        torch.testing.assert_close(frozen(x), 2 * once)


def test_images_that_depend_on_each_other_are_not_parted() -> None:
    """A norm by the batch's own statistics sees all images of a batch, whatever the threads."""
    torch.manual_seed(0)
    own = nn.BatchNorm2d(8, track_running_stats=False)
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), own, nn.ReLU())
    equal(network.eval(), images(7, 8, 12, 12))


def test_images_of_many_sizes_and_batches_in_waves() -> None:
    torch.manual_seed(0)
    network = settled(nn.Sequential(Basic(8), Basic(8, 2), Basic(8)))
    frozen = ops.freeze(network)
    assert frozen.early is not None
    for shape in ((5, 8, 16, 16), (1, 8, 9, 30), (0, 8, 8, 8), (2, 8, 7, 7)):
        x = images(*shape)
        with torch.inference_mode():
            torch.testing.assert_close(frozen(x), network(x), rtol=1e-4, atol=1e-5)
