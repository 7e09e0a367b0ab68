"""Residual blocks around any registered operator, each a form and a module."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

import ops
from invsearch.errors import InputError
from invsearch.models.form import BlockForm, LayerSpec
from invsearch.models.network import BlockSpec, Part, StageSpec
from invsearch.models.problem import problem
from ops.normalise import normalise
from ops.pointwise import Pointwise

__all__ = [
    "BOTTLENECK",
    "INVERTED_RESIDUAL",
    "Bottleneck",
    "InvertedResidual",
    "ResidualBlock",
    "make_operator",
]


class ResidualBlock(nn.Module):
    """A block with a spatial operator in the middle.

    Attributes:
        operator: The operator; a third party's keeps the weights that it made itself.
    """

    operator: nn.Module

    def last_norm(self) -> nn.BatchNorm2d | None:
        """The batch norm whose weights begin at 0, so that the block begins as its shortcut."""
        return None


def _own(conv: nn.Module) -> bool:
    """Whether what a convolution returns is the block's alone, to be written into."""
    return isinstance(conv, Pointwise) and conv.makes_its_own()


class Bottleneck(ResidualBlock):
    """A residual bottleneck (He et al., CVPR 2016) around any registered operator.

    ``relu(bn(1x1) -> relu(bn(operator)) -> bn(1x1) + shortcut)``; the operator carries the stride,
    the shortcut is a 1x1 convolution with the stride and a batch norm wherever the shape changes.

    Args:
        in_channels: Channels of the input.
        width: Channels inside.
        stride: Stride of the operator.
        block: Which operator, with its hyperparameters.
        out_channels: Channels of the output; four times the width where none are given.

    Raises:
        InputError: If the operator cannot have this width.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        block: BlockSpec,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        out_channels = out_channels or 4 * width
        self.conv1 = Pointwise(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.operator = make_operator(width, stride, block)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = Pointwise(width, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu3 = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(
                Pointwise(in_channels, out_channels, stride),
                nn.BatchNorm2d(out_channels),
            )
            if stride != 1 or in_channels != out_channels
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        y = normalise(self.conv1(x), self.bn1, self.relu1, in_place=_own(self.conv1))
        y = normalise(self.operator(y), self.bn2, self.relu2)
        own, shortcut = _own(self.conv3), self.downsample(x)
        return normalise(self.conv3(y), self.bn3, self.relu3, shortcut, in_place=own)

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3


class InvertedResidual(ResidualBlock):
    """An inverted residual (Sandler et al., CVPR 2018) around any registered operator.

    ``relu6(bn(1x1)) -> relu6(bn(operator)) -> bn(1x1)``, added to the input where the shape stays.
    The 1x1 convolution that widens is left out where nothing is widened; the operator carries the
    stride; nothing follows the sum.

    Args:
        in_channels: Channels of the input.
        inner_channels: Channels that the operator sees.
        out_channels: Channels of the output.
        stride: Stride of the operator.
        block: Which operator, with its hyperparameters.

    Raises:
        InputError: If the operator cannot have this width.
    """

    def __init__(
        self,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        stride: int,
        block: BlockSpec,
    ) -> None:
        super().__init__()
        self.expand = (
            nn.Sequential(
                Pointwise(in_channels, inner_channels),
                nn.BatchNorm2d(inner_channels),
                nn.ReLU6(inplace=True),
            )
            if inner_channels != in_channels
            else nn.Identity()
        )
        self.operator = make_operator(inner_channels, stride, block)
        self.bn2 = nn.BatchNorm2d(inner_channels)
        self.relu2 = nn.ReLU6(inplace=True)
        self.conv3 = Pointwise(inner_channels, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.add = nn.Identity() if stride == 1 and in_channels == out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        y = self.relu2(self.bn2(self.operator(self.expand(x))))
        y = self.bn3(self.conv3(y))
        result: Tensor = y if self.add is None else self.add(y + x)
        return result


def make_operator(channels: int, stride: int, block: BlockSpec) -> nn.Module:
    """Build a block's operator.

    Raises:
        InputError: If it cannot have this width.
    """
    reason = problem(channels, block)
    if reason is not None:
        raise InputError(reason)
    return ops.get(block.operator).make(channels, stride=stride, **dict(block.hyperparameters))


class _BottleneckForm(BlockForm):
    name = "bottleneck"

    def out_channels(self, stage: StageSpec) -> int:
        return stage.expansion * stage.width

    def inner_channels(self, stage: StageSpec, in_channels: int) -> int:
        return stage.width

    def layers(self, part: Part) -> Iterator[LayerSpec]:
        channels, inner, out = part.in_channels, part.inner_channels, part.out_channels
        stride = part.stride
        yield LayerSpec("conv1", "convolution", channels, inner, part.size)
        yield LayerSpec(
            "operator", "operator", inner, inner, part.size, stride=stride, block=part.block
        )
        yield LayerSpec("conv3", "convolution", inner, out, part.output_size, activation=False)
        if stride != 1 or channels != out:
            yield LayerSpec(
                "downsample",
                "convolution",
                channels,
                out,
                part.size,
                stride=stride,
                activation=False,
            )
        yield LayerSpec("add", "add", out, out, part.output_size)

    def build(self, part: Part) -> Bottleneck:
        assert part.block is not None
        sizes = (part.in_channels, part.inner_channels, part.stride)
        return Bottleneck(*sizes, part.block, part.out_channels)

    def modules(self, part: Part, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        assert isinstance(module, Bottleneck)
        yield "conv1", nn.Sequential(module.conv1, module.bn1, module.relu1)
        yield "operator", nn.Sequential(module.operator, module.bn2, module.relu2)
        yield "conv3", nn.Sequential(module.conv3, module.bn3)
        if isinstance(module.downsample, nn.Sequential):
            yield "downsample", module.downsample
        yield "add", module.relu3


class _InvertedResidualForm(BlockForm):
    name = "inverted_residual"

    def out_channels(self, stage: StageSpec) -> int:
        return stage.width

    def inner_channels(self, stage: StageSpec, in_channels: int) -> int:
        return stage.expansion * in_channels

    def layers(self, part: Part) -> Iterator[LayerSpec]:
        channels, inner, out = part.in_channels, part.inner_channels, part.out_channels
        if inner != channels:
            yield LayerSpec("expand", "convolution", channels, inner, part.size)
        yield LayerSpec(
            "operator", "operator", inner, inner, part.size, stride=part.stride, block=part.block
        )
        yield LayerSpec("conv3", "convolution", inner, out, part.output_size, activation=False)
        if part.stride == 1 and channels == out:
            yield LayerSpec("add", "add", out, out, part.output_size, activation=False)

    def build(self, part: Part) -> InvertedResidual:
        assert part.block is not None
        sizes = (part.in_channels, part.inner_channels, part.out_channels, part.stride)
        return InvertedResidual(*sizes, part.block)

    def modules(self, part: Part, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        assert isinstance(module, InvertedResidual)
        if isinstance(module.expand, nn.Sequential):
            yield "expand", module.expand
        yield "operator", nn.Sequential(module.operator, module.bn2, module.relu2)
        yield "conv3", nn.Sequential(module.conv3, module.bn3)
        if module.add is not None:
            yield "add", module.add


BOTTLENECK: BlockForm = _BottleneckForm()
INVERTED_RESIDUAL: BlockForm = _InvertedResidualForm()
