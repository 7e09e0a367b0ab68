"""RedNet and ResNet: layout, initialisation, any operator in any block."""

from __future__ import annotations

import json

import pytest
import torch
from stage_outputs import stage_outputs
from torch import nn

import ops
from invsearch.errors import InputError
from invsearch.models import (
    BlockSpec,
    NetworkSpec,
    build,
    proxy_spec,
    rednet,
    rednet_spec,
    resnet,
    resnet_spec,
)
from invsearch.models.blocks import Bottleneck


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (resnet(50), 25_557_032),
        (resnet(50, deep_stem=True), 25_576_264),
        (rednet(26), 9_233_886),
        (rednet(50, stem_kernel_size=3), 15_540_806),
    ],
)
def test_parameters_are_the_known_networks(network: nn.Module, expected: int) -> None:
    """The totals of torchvision's ResNet-50, of ResNet-50-C and of the released RedNets."""
    assert parameters(network) == expected


def test_resnet_has_the_stride_on_the_3x3() -> None:
    """'PyTorch style': the operator carries the stride, the 1x1 does not."""
    block = resnet(26).stages[1][0]
    assert block.conv1.stride == (1, 1)
    assert block.operator.stride == (2, 2)
    assert block.downsample[0].stride == (2, 2)


def test_initialisation_is_kaiming_with_zero_gamma() -> None:
    """Each block starts as its shortcut, and convolutions have the fan-out's deviation."""
    torch.manual_seed(0)
    network = rednet(26)
    for block in (m for m in network.modules() if isinstance(m, Bottleneck)):
        assert not block.bn3.weight.any()
    conv = network.stages[3][0].conv3
    assert conv.weight.std().item() == pytest.approx((2 / conv.out_channels) ** 0.5, rel=0.02)
    span = network.stages[3][0].operator.generator.span
    assert span.weight.std().item() == pytest.approx((2 / span.out_channels) ** 0.5, rel=0.02)
    assert not span.bias.any()


SMALL = {"num_classes": 10, "width": 0.125, "group_channels": 8}


@pytest.mark.parametrize("operator", ["convolution", "depthwise_convolution", "self_attention"])
def test_any_operator_in_any_block(operator: str) -> None:
    """Operators mix within a stage; odd sizes go through every stride."""
    stages = [{}, {"block1.operator": operator, "head_channels": 4}, {}, {}]
    network = rednet(26, stages=stages, **SMALL).eval()
    kind = type(ops.get(operator).make(16, **({"head_channels": 4} if "self" in operator else {})))
    assert isinstance(network.stages[1][0].operator, kind)
    assert isinstance(network.stages[1][1].operator, ops.Involution2d)
    features = stage_outputs(network, torch.randn(2, 3, 37, 50))
    assert [f.shape[1:] for f in features] == [(32, 10, 13), (64, 5, 7), (128, 3, 4), (256, 2, 2)]
    assert network(torch.randn(2, 3, 37, 50)).shape == (2, 10)


def test_gradients_reach_every_weight() -> None:
    """No dead link: a training step from non-zero gammas moves each parameter."""
    network = resnet(26, operator="involution", **SMALL)
    for block in (m for m in network.modules() if isinstance(m, Bottleneck)):
        nn.init.ones_(block.bn3.weight)
    network(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_impossible_width_is_one_clear_line() -> None:
    """Group channels that do not divide a block's width are named."""
    with pytest.raises(InputError, match="group_channels = 16 does not divide channels = 8"):
        rednet(26, width=0.125)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 51}, "depth 51 is unknown"),
        ({"depth": None}, "blocks of stage 1 are not given"),
        ({"kernel_sise": 3}, r"did you mean 'kernel_size'"),
        ({"operator": "involutoin"}, r"did you mean 'involution'"),
        ({"stages": [{}]}, "one for each of the 4"),
        ({"stages": [{"blocks": 0}, {}, {}, {}]}, "stage1.blocks is 0"),
        ({"kernel_size": 4}, "kernel_size = 4 must be odd"),
        ({"stem_kernel_size": 4}, "stem_kernel_size is 4"),
        ({"width": 0}, "width is 0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    """The value, what is allowed, the nearest name."""
    with pytest.raises(InputError, match=message):
        rednet(**arguments)


def test_specs_survive_json() -> None:
    """Specs travel to other processes as JSON and come back equal."""
    for spec in (rednet_spec(50), resnet_spec(26, deep_stem=True)):
        assert NetworkSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_proxy_keeps_the_architecture_at_a_fraction_of_the_width() -> None:
    """Widths and channel settings shrink; depth, operators and kernel sizes stay."""
    stages = [{"kernel_size": 3}, {"operator": "self_attention"}, {}, {"operator": "convolution"}]
    spec = rednet_spec(26, stages=stages)
    proxy = proxy_spec(spec, width=0.125, num_classes=10, in_channels=1)
    assert [stage.width for stage in proxy.stages] == [8, 16, 32, 64]
    assert (proxy.stem.channels, proxy.stem.stride, proxy.stem.pool) == (8, 1, False)
    settings = [dict(stage.blocks[0].hyperparameters) for stage in proxy.stages]
    assert settings[0]["group_channels"] == 8
    assert settings[0]["reduction"] == 2
    assert settings[0]["kernel_size"] == 3
    assert settings[1]["head_channels"] == 16
    for full, small in zip(spec.stages, proxy.stages, strict=True):
        assert [b.operator for b in full.blocks] == [b.operator for b in small.blocks]
    assert build(proxy)(torch.randn(4, 1, 8, 8)).shape == (4, 10)


def test_a_third_partys_operator_keeps_its_own_initialisation() -> None:
    """The network initialises convolutions and involutions, not what it does not know."""
    from invsearch.models.initialise import initialise

    block = Bottleneck(8, 8, 1, BlockSpec("convolution", (("dilation", 1), ("kernel_size", 3))))
    block.operator = nn.Sequential(nn.Conv2d(8, 8, 1))
    nn.init.constant_(block.operator[0].weight, 3.0)
    initialise(block)
    assert (block.operator[0].weight == 3.0).all()
