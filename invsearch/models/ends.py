"""The two ends of a network as forms: the stem before the stages, the head behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from torch import nn

import ops
from invsearch.models.blocks import make_operator
from invsearch.models.form import Form, LayerSpec
from invsearch.models.network import BlockSpec, Part, StemSpec
from ops.pointwise import Pointwise

__all__ = ["HEAD", "STEM", "classifier", "final_convolution", "global_pool", "stem_operator"]

# Of a RedNet stem's involution, as the paper has it.
_STEM_GROUP_CHANNELS = 16  # the paper's C / G
_STEM_REDUCTION = 4  # the paper's r


def _rednet(stem: StemSpec) -> Iterator[tuple[int, int, BlockSpec | None]]:
    half = stem.channels // 2
    yield half, 3, None
    yield half, stem.kernel_size, stem_operator(half, stem.kernel_size)
    yield stem.channels, 3, None


def _resnet(stem: StemSpec) -> Iterator[tuple[int, int, BlockSpec | None]]:
    yield stem.channels, 7, None


def _deep(stem: StemSpec) -> Iterator[tuple[int, int, BlockSpec | None]]:
    half = stem.channels // 2
    yield half, 3, None
    yield half, 3, None
    yield stem.channels, 3, None


def _mobilenet(stem: StemSpec) -> Iterator[tuple[int, int, BlockSpec | None]]:
    yield stem.channels, 3, None


_STEMS: Mapping[str, Callable[[StemSpec], Iterator[tuple[int, int, BlockSpec | None]]]] = {
    "rednet": _rednet,
    "resnet": _resnet,
    "deep": _deep,
    "mobilenet": _mobilenet,
}
"""By kind, (output channels, kernel size, operator or None for a convolution) of each layer."""


@lru_cache(maxsize=256)  # one for each width and kernel size of a space's stems
def stem_operator(channels: int, kernel_size: int) -> BlockSpec:
    """A RedNet stem's involution: the paper's, fitted to its width."""
    settings = {
        "kernel_size": kernel_size,
        "group_channels": _STEM_GROUP_CHANNELS,
        "reduction": _STEM_REDUCTION,
    }
    fitted = ops.get("involution").fit(channels, settings)
    return BlockSpec("involution", tuple(sorted(fitted.items())))


class _StemForm(Form):
    name = "stem"

    def layers(self, part: Part) -> Iterator[LayerSpec]:
        stem = _stem_of(part)
        channels, size, stride = part.in_channels, part.size, stem.stride
        for number, (out, kernel_size, block) in enumerate(_STEMS[stem.kind](stem), start=1):
            name = f"conv{number}" if block is None else "operator"
            layer = LayerSpec(
                name,
                "convolution" if block is None else "operator",
                channels,
                out,
                size,
                kernel_size,
                stride,
                block=block,
            )
            yield layer
            channels, size, stride = out, layer.output_size, 1
        if stem.pool:
            yield LayerSpec(
                "pool", "max_pool", channels, channels, size, stride=2, activation=False
            )

    def build(self, part: Part) -> nn.Sequential:
        relu = nn.ReLU6 if _stem_of(part).kind == "mobilenet" else nn.ReLU
        modules: list[nn.Module] = []
        for layer in self.layers(part):
            if layer.kind == "max_pool":
                modules.append(nn.MaxPool2d(3, stride=2, padding=1))
            else:
                norm = nn.BatchNorm2d(layer.out_channels)
                modules += [_convolution(layer), norm, relu(inplace=True)]
        return nn.Sequential(*modules)

    def modules(self, part: Part, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        assert isinstance(module, nn.Sequential)
        rest = list(module)
        for layer in self.layers(part):
            if layer.kind == "max_pool":
                yield layer.name, rest.pop(0)
            else:  # with its batch norm and its ReLU
                yield layer.name, nn.Sequential(*(rest.pop(0) for _ in range(3)))


class _HeadForm(Form):
    """A 1x1 convolution, the global pool and the linear layer, where there are such."""

    name = "head"

    def layers(self, part: Part) -> Iterator[LayerSpec]:
        channels = part.in_channels
        if part.inner_channels:
            yield LayerSpec("final", "convolution", channels, part.inner_channels, part.size)
            channels = part.inner_channels
        kind = _POOLS[part.pool].kind
        if kind is not None:
            yield LayerSpec("pool", kind, channels, channels, part.size, activation=False)
        if part.out_channels:
            yield LayerSpec("head", "linear", channels, part.out_channels, (1, 1), activation=False)

    def build(self, part: Part) -> nn.Sequential:
        final = final_convolution(part.in_channels, part.inner_channels)
        channels = part.inner_channels or part.in_channels
        flatten = nn.Flatten(1) if part.pool else nn.Identity()
        linear = classifier(channels, part.out_channels)
        return nn.Sequential(final, global_pool(part.pool), flatten, linear)

    def modules(self, part: Part, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        assert isinstance(module, nn.Sequential)
        built = {"final": module[0], "pool": module[1], "head": module[3]}
        for layer in self.layers(part):
            yield layer.name, built[layer.name]


class _Pool(NamedTuple):
    """A global pool: what builds it, and the kind of layer that it is counted as."""

    build: Callable[[], nn.Module]
    kind: Literal["global_average_pool", "global_max_pool"] | None


_POOLS: Mapping[str, _Pool] = {
    "avg": _Pool(lambda: nn.AdaptiveAvgPool2d(1), "global_average_pool"),
    "max": _Pool(lambda: nn.AdaptiveMaxPool2d(1), "global_max_pool"),
    "": _Pool(nn.Identity, None),
}
"""By the names of :data:`GLOBAL_POOLS <invsearch.models.arguments.GLOBAL_POOLS>`."""


def global_pool(name: str) -> nn.Module:
    """What reduces (B, C, H, W) to (B, C, 1, 1), or leaves it."""
    return _POOLS[name].build()


def classifier(channels: int, classes: int) -> nn.Module:
    """The linear head, or nothing for no classes."""
    return nn.Linear(channels, classes) if classes else nn.Identity()


STEM: Form = _StemForm()
HEAD: Form = _HeadForm()


def final_convolution(in_channels: int, out_channels: int) -> nn.Module:
    """What a head begins with: a 1x1 convolution, its batch norm and its ReLU6; nothing for 0."""
    if not out_channels:
        return nn.Identity()
    return nn.Sequential(
        Pointwise(in_channels, out_channels),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


def _stem_of(part: Part) -> StemSpec:
    assert part.stem is not None
    return part.stem


def _convolution(layer: LayerSpec) -> nn.Module:
    if layer.block is not None:
        return make_operator(layer.out_channels, layer.stride, layer.block)
    kernel_size, channels = layer.kernel_size, (layer.in_channels, layer.out_channels)
    return nn.Conv2d(*channels, kernel_size, layer.stride, kernel_size // 2, bias=False)
