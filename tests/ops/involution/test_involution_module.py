"""`ops.Involution2d` is the paper's module, for every size and setting."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import ops

PARITY = Path(__file__).parents[2] / "fixtures" / "parity" / "involution_module.npz"
RELEASED_NAMES = {
    "conv1.conv.weight": "generator.reduce.weight",
    "conv1.bn.weight": "generator.norm.weight",
    "conv1.bn.bias": "generator.norm.bias",
    "conv1.bn.running_mean": "generator.norm.running_mean",
    "conv1.bn.running_var": "generator.norm.running_var",
    "conv1.bn.num_batches_tracked": "generator.norm.num_batches_tracked",
    "conv2.conv.weight": "generator.span.weight",
    "conv2.conv.bias": "generator.span.bias",
}


def generated(key: str, like: Tensor) -> Tensor:
    """The fixture's recipe for the weight of a released module's key."""
    rng, shape = np.random.default_rng(zlib.crc32(key.encode())), tuple(like.shape)
    if key.endswith("num_batches_tracked"):
        return torch.zeros_like(like)
    if key.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        values = rng.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    else:
        scale = 1.0 if key.endswith(".weight") else 0.0
        values = scale + 0.1 * rng.standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize("case", range(4))
def test_equals_the_released_module(case: int, backend: str) -> None:
    """Output and all gradients in train mode, against numbers made by the released code."""
    with np.load(PARITY) as fixture:
        data = {key.removeprefix(f"case{case}_"): torch.from_numpy(fixture[key]) for key in fixture}
    channels, size, stride, *shape = data["config"].tolist()
    module = ops.Involution2d(channels, size, stride, backend=backend)
    state = module.state_dict()
    for released, ours in RELEASED_NAMES.items():
        state[ours] = generated(f"case{case}.{released}", state[ours])
    module.load_state_dict(state)
    place = ("cuda", torch.float32) if backend == "cuda" else ("cpu", torch.float64)
    module.to(*place).train()
    x = normal(100 + case, (shape[0], channels, *shape[1:])).to(*place).requires_grad_()
    y = module(x)
    y.backward(normal(200 + case, tuple(y.shape)).to(*place))
    assert_equal(y, data["y"])
    assert_equal(x.grad, data["grad_x"])
    for released, ours in RELEASED_NAMES.items():
        if f"grad_{released}" in data:
            assert_equal(module.get_parameter(ours).grad, data[f"grad_{released}"])


def normal(seed: int, shape: tuple[int, ...]) -> Tensor:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return torch.from_numpy(values).double()


def assert_equal(result: Tensor | None, fixture: Tensor) -> None:
    assert result is not None
    if result.is_cuda:  # fp32, and torch's convolutions in TF32
        error = (result.cpu().double() - fixture.double()).norm()
        assert error < 5e-3 * fixture.double().norm()
        return
    torch.testing.assert_close(result, fixture.double(), rtol=1e-4, atol=1e-6)


def test_state_dict_names_are_the_ones_checkpoints_are_mapped_to() -> None:
    assert set(ops.Involution2d(32).state_dict()) == set(RELEASED_NAMES.values())


def test_stem_has_18_and_98_span_channels() -> None:
    """What tells the two versions of the released stem apart."""
    assert [ops.Involution2d(32, k).generator.span.out_channels for k in (3, 7)] == [18, 98]


def test_odd_sizes_pool_what_is_there() -> None:
    """The last, partial window of the generator's pooling is the mean of its real pixels."""
    module = ops.Involution2d(16, 3, stride=2, group_channels=16).eval()
    x = torch.randn(1, 16, 5, 5)
    pooled = x[:, :, 4:, 4:]
    corner = module.generator.span(
        torch.relu(module.generator.norm(module.generator.reduce(pooled)))
    )
    torch.testing.assert_close(module.generator(x)[..., 2, 2].flatten(), corner.flatten())


@pytest.mark.parametrize("generator", ["bottleneck", "linear", "attention"])
def test_generators_give_the_kernel_of_the_output(generator: str) -> None:
    module = ops.Involution2d(
        24, 5, stride=2, group_channels=8, reduction=5, dilation=2, generator=generator
    )
    assert module.generator(torch.randn(2, 24, 7, 9)).shape == (2, 3, 5, 5, 4, 5)
    assert module(torch.randn(2, 24, 7, 9)).shape == (2, 24, 4, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_channels": 24}, "group_channels = 24 does not divide channels = 64"),
        ({"channels": 8}, "group_channels = 16 does not divide channels = 8"),
        ({"channels": 0}, "channels = 0 must be a whole number of at least 1"),
        ({"kernel_size": 4}, "kernel_size = 4 must be odd"),
        ({"kernel_size": "7"}, "kernel_size = '7' must be a whole number"),
        ({"stride": 0}, "stride = 0 must be"),
        ({"dilation": True}, "dilation = True must be"),
        ({"reduction": 65}, "reduction = 65 leaves no channel of channels = 64"),
        ({"group_channels": 0}, "group_channels = 0 must be"),
        ({"generator": "bottle"}, "'bottle' must be one of bottleneck, linear, attention"),
    ],
)
def test_errors_name_the_value(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.Involution2d(**{"channels": 64, **settings})
