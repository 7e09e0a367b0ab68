"""What is timed of one operator: its layer by every back end, bare, and a 3 x 3 convolution."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import ops
from invsearch.bench.case import Candidate, Case, Cost, Enter, Run, available_backends
from invsearch.bench.shapes import LayerShape
from ops.pointwise import Pointwise
from ops.timing.workload import Mode, workload

__all__ = [
    "BareInvolution",
    "Unfused",
    "as_released",
    "bare_case",
    "layer_candidate",
    "layer_case",
    "layer_cost",
    "layer_variants",
    "oracle_of",
    "seeded",
]

Module = TypeVar("Module", bound=nn.Module)

CONVOLUTION = "3x3 convolution"
DEFAULT = "default"
UNFOLD = "unfold"


class Unfused(nn.Module):
    """An involution that makes its kernel tensor, stores it and then applies it."""

    def __init__(self, layer: ops.Involution2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H_out, W_out)."""
        return self.layer.aggregate(x, self.layer.generator(x))


class BareInvolution(nn.Module):
    """The operator without a generator: its kernel tensor is a parameter.

    Args:
        shape: Sizes of the layer.
        batch: Images.
        backend: A name of `ops.backends()`, or None.
        group_channels: C / G.
    """

    def __init__(
        self, shape: LayerShape, batch: int, backend: str | None, group_channels: int = 16
    ) -> None:
        super().__init__()
        self.stride, self.backend = shape.stride, backend
        groups, size = shape.channels // group_channels, shape.kernel_size
        pixels = shape.output_size
        sizes = (batch, pixels, pixels, groups, size, size)
        kernel = torch.randn(sizes, generator=torch.Generator().manual_seed(1)) / size
        self.kernel = nn.Parameter(kernel.permute(0, 3, 4, 5, 1, 2))
        if backend == UNFOLD:
            self.kernel = nn.Parameter(self.kernel.detach().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H_out, W_out)."""
        return ops.involution2d(x, self.kernel, self.stride, backend=self.backend)


def layer_case(operator: str, shape: LayerShape, batch: int, mode: Mode, device: str) -> Case:
    """A registered operator's layer, with its defaults but for the shape's window.

    Operators of involution's family run once for each back end, and by default (`default`: what a
    user gets, fused where that is faster). The unfold form gets NCHW, for which it is written; all
    others get channels-last. A 3 x 3 convolution of the same width stands beside each.
    """
    settings = window_settings(operator, shape)
    spec = ops.get(operator)
    layer = seeded(lambda: spec.make(shape.channels, stride=shape.stride, **settings))
    variants = layer_variants(layer, device)
    skipped = available_backends(device)[1] if len(variants) > 1 else {}
    macs = spec.macs(shape.input_shape(batch), stride=shape.stride, **settings)
    cost = layer_cost(macs, shape, batch, mode, _bytes(layer.parameters()))
    candidates = {
        name: layer_candidate(
            one, shape.input_shape(batch), mode, device, cost=cost, oracle=oracle_of(name, variants)
        )
        for name, one in variants.items()
    }
    if operator != "convolution":
        candidates[CONVOLUTION] = convolution_candidate(shape, batch, mode, device)
    return Case(
        name="/".join((operator, shape.name, f"b{batch}", mode, "layer")),
        candidates=candidates,
        reference=UNFOLD if UNFOLD in candidates else next(iter(candidates)),
        skipped=skipped,
        facts={"operator": operator, "shape": shape.name, "batch": batch, "mode": mode},
    )


def bare_case(shape: LayerShape, batch: int, mode: Mode, device: str) -> Case:
    """The operator alone, on a kernel tensor in memory, by every back end."""
    names, skipped = available_backends(device)
    sizes = shape.input_shape(batch)
    macs = shape.kernel_size**2 * batch * shape.channels * shape.output_size**2
    kernel_bytes = 4 * macs // 16
    cost = layer_cost(macs, shape, batch, mode, kernel_bytes)
    candidates = {}
    for name in names:
        layer = BareInvolution(shape, batch, name)
        candidates[name] = layer_candidate(
            layer, sizes, mode, device, name == UNFOLD, cost, oracle_of(name, names)
        )
    return Case(
        name="/".join(("involution", shape.name, f"b{batch}", mode, "bare")),
        candidates=candidates,
        reference=UNFOLD,
        skipped=skipped,
        facts={"operator": "involution", "shape": shape.name, "batch": batch, "mode": mode},
    )


def layer_variants(layer: nn.Module, device: str = "cpu") -> dict[str, nn.Module]:
    """The layer as it is, and for involution's family a copy for each back end, unfused."""
    if not isinstance(layer, ops.Involution2d):
        return {DEFAULT: layer}
    variants: dict[str, nn.Module] = {DEFAULT: layer}
    for name in available_backends(device)[0]:
        one = copy.deepcopy(layer)
        one.backend = name
        if name == UNFOLD:
            as_released(one)
        variants[name] = Unfused(one) if type(one) is ops.Involution2d else one
    return variants


def as_released(network: nn.Module) -> nn.Module:
    """The network with torch's own 1x1 convolutions in its involutions, as in the released code.

    So that the unfold form, what people have today, gains nothing from this project.
    """
    for layer in network.modules():
        if isinstance(layer, ops.Involution2d):
            for name, part in layer.generator.named_children():
                if isinstance(part, Pointwise):
                    layer.generator.add_module(name, _stock(part))
    return network


def _stock(part: Pointwise) -> nn.Conv2d:
    bias = part.bias is not None
    conv = nn.Conv2d(part.in_channels, part.out_channels, 1, part.stride[0], bias=bias)
    conv.weight, conv.bias = part.weight, part.bias
    return conv


def oracle_of(name: str, names: Iterable[str]) -> str | None:
    """The unfold form is the oracle of all others; itself it has none."""
    return UNFOLD if name != UNFOLD and UNFOLD in names else None


def layer_candidate(
    layer: nn.Module,
    shape: Sequence[int],
    mode: Mode,
    device: str,
    contiguous: bool | None = None,
    cost: Cost | None = None,
    oracle: str | Enter | None = None,
) -> Candidate:
    """A layer's pass over a random image; NCHW for the unfold form, else channels-last."""
    if contiguous is None:
        contiguous = any(getattr(one, "backend", None) == UNFOLD for one in layer.modules())
    form = torch.contiguous_format if contiguous else torch.channels_last

    def enter(stack: contextlib.ExitStack) -> Run:
        x = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0)).to(device)
        return stack.enter_context(
            workload(with_format(layer, form), x.contiguous(memory_format=form), mode)
        )

    return Candidate(enter, cost, oracle)


def with_format(layer: nn.Module, form: torch.memory_format) -> nn.Module:
    """The layer with its convolutions' weights in a memory format; its kernel tensors stay."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=form)  # type: ignore[call-overload]
    return layer


def convolution_candidate(shape: LayerShape, batch: int, mode: Mode, device: str) -> Candidate:
    """What a ResNet has in this place: K = 3, C to C, no bias, channels-last."""
    spec = ops.get("convolution")
    layer = seeded(lambda: spec.make(shape.channels, stride=shape.stride))
    macs = spec.macs(shape.input_shape(batch), stride=shape.stride)
    cost = layer_cost(macs, shape, batch, mode, _bytes(layer.parameters()))
    return layer_candidate(layer, shape.input_shape(batch), mode, device, False, cost)


def layer_cost(macs: int, shape: LayerShape, batch: int, mode: Mode, weights: int) -> Cost:
    """Multiply-adds and least traffic in fp32, from those of a forward pass.

    A backward pass does the products twice, once for each gradient; it reads what the forward pass
    reads and the output's gradient, and writes a gradient for each of the inputs.
    """
    inputs = 4 * math.prod(shape.input_shape(batch)) + weights
    output = 4 * batch * shape.channels * shape.output_size**2
    forward, backward = inputs + output, 2 * inputs + output
    return {
        "forward": Cost(macs, forward),
        "backward": Cost(2 * macs, backward),
        "train": Cost(3 * macs, forward + backward),
    }[mode]


def window_settings(operator: str, shape: LayerShape) -> dict[str, Any]:
    """The operator's hyperparameters at a shape: the network's window if its own is 7."""
    known = ops.get(operator).hyperparameters.get("kernel_size")
    return {"kernel_size": shape.kernel_size} if known and known.default == 7 else {}


def seeded(build: Callable[[], Module]) -> Module:
    """What `build` makes with seed 0; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
