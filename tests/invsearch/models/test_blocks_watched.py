"""Blocks write into what is their own, and into nothing that somebody else sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from invsearch.models import rednet
from invsearch.models.blocks import Bottleneck


def blocks(network: nn.Module) -> list[Bottleneck]:
    return [part for part in network.modules() if isinstance(part, Bottleneck)]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return rednet(26, num_classes=10).eval().to(memory_format=torch.channels_last)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["conv1", "bn1", "relu1", "operator", "conv3", "bn3", "relu3"])
def test_a_hook_keeps_what_its_module_gave(network: nn.Module, x: Tensor, name: str) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        plain = network(x)
        for block in blocks(network):
            getattr(block, name).register_forward_hook(
                lambda module, inputs, output: seen.append((output, output.clone()))
            )
        torch.testing.assert_close(network(x), plain, rtol=1e-4, atol=1e-4)
    assert seen
    for kept, copied in seen:
        assert torch.equal(kept, copied)


def test_an_identity_in_a_block_keeps_its_input(network: nn.Module) -> None:
    """It returns its input, which is not the block's to write into."""
    block = next(one for one in blocks(network) if isinstance(one.downsample, nn.Identity))
    channels = block.conv1.in_channels
    for name in ("conv1", "operator", "conv3"):
        setattr(block, name, nn.Identity())
    for name in ("bn1", "bn2", "bn3"):
        setattr(block, name, nn.BatchNorm2d(channels).eval())
    x = torch.randn(1, channels, 5, 5).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    with torch.no_grad():
        y = block(x)
        wanted = torch.relu(torch.relu(before) + before)
        torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-4)
    assert torch.equal(x, before)
