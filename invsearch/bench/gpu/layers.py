"""Work for a GPU: RedNet-50's involutions on tensors of random numbers, as functions to time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

import ops
from invsearch.bench.shapes import REDNET50, LayerShape
from ops.involution.composition import composed
from ops.involution.fused import fused

__all__ = [
    "GROUP_CHANNELS",
    "LAYERS",
    "Span",
    "backward_of",
    "bare",
    "bare_bytes",
    "forward_of",
    "released",
    "spans",
]

GROUP_CHANNELS, REDUCTION = 16, 4
LAYERS: tuple[LayerShape, ...] = tuple(s for s in REDNET50 for _ in range(s.repeats))
"""The 17, in the order of the network."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Span:
    """Arguments of one layer from its features on: what the fused operator takes.

    Attributes:
        x: (B, C, H, W), channels-last.
        features: (B, C / r, H_out, W_out), channels-last.
        weight: (G, K, K, C / r).
        bias: (G, K, K).
        window: Stride, padding, dilation.
    """

    x: Tensor
    features: Tensor
    weight: Tensor
    bias: Tensor
    window: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All that a gradient is taken for."""
        return self.x, self.features, self.weight, self.bias

    def fused(self) -> Tensor:
        """y, without a kernel tensor."""
        return fused(*self.tensors, *self.window)

    def unfused(self) -> Tensor:
        """y, through a kernel tensor in memory: a 1x1 convolution, then the bare operator."""
        return composed(*self.tensors, *self.window)


def spans(shapes: Sequence[LayerShape], batch: int, device: str, dtype: torch.dtype) -> list[Span]:
    """One for each shape, seeded; numbers of a size that keeps fp16 in its range."""
    generator = torch.Generator(device).manual_seed(0)

    def random(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, device=device, dtype=dtype)

    made = []
    for shape in shapes:
        groups, hidden = shape.channels // GROUP_CHANNELS, shape.channels // REDUCTION
        size, half = shape.kernel_size, (shape.kernel_size - 1) // 2
        pixels = (shape.output_size, shape.output_size)
        made.append(
            Span(
                last(random(*shape.input_shape(batch))),
                last(random(batch, hidden, *pixels)),
                random(groups, size, size, hidden) / (size * math.sqrt(hidden)),
                random(groups, size, size) / size,
                ((shape.stride, shape.stride), (half, half), (1, 1)),
            )
        )
    return made


def forward_of(layers: Sequence[Span], form: str) -> Run:
    """All layers one after the other; `form` is `fused` or `unfused`."""
    runs = [getattr(layer, form) for layer in layers]

    def run() -> object:
        with torch.no_grad():
            return [one() for one in runs]

    return run


def backward_of(layers: Sequence[Span], form: str) -> Run:
    """Every gradient of all layers; the forward pass, and what it keeps, is made here, untimed."""
    steps = []
    for layer in layers:
        leaves = [tensor.detach().requires_grad_() for tensor in layer.tensors]
        x, features, weight, bias = leaves
        y = getattr(Span(x, features, weight, bias, layer.window), form)()
        generator = torch.Generator(y.device).manual_seed(1)
        upstream = torch.empty_like(y).normal_(generator=generator)
        steps.append((y, leaves, upstream))

    def run() -> object:
        return [
            gradient
            for y, leaves, upstream in steps
            for gradient in torch.autograd.grad(y, leaves, upstream, retain_graph=True)
        ]

    return run


def bare(shape: LayerShape, batch: int, sets: int, device: str, dtype: torch.dtype) -> Run:
    """The bare operator on each of several sets of tensors, channels-last and native."""
    made = _bare_tensors(shape, batch, sets, device, dtype)

    def run() -> object:
        return [ops.involution2d(x, kernel, shape.stride) for x, kernel in made]

    return run


def released(shape: LayerShape, batch: int, sets: int, device: str) -> Run:
    """The released CuPy kernel's algorithm, in fp32 and NCHW: an output a thread."""
    from ops.involution.backends.cuda import plans as cuda_plans

    made = [
        (x.contiguous(), kernel.contiguous(), geometry_of(x, kernel, shape))
        for x, kernel in _bare_tensors(shape, batch, sets, device, torch.float32)
    ]

    def run() -> object:
        return [cuda_plans.released(x, kernel, geometry) for x, kernel, geometry in made]

    return run


def geometry_of(x: Tensor, kernel: Tensor, shape: LayerShape) -> ops.involution.geometry.Geometry:
    """Of the bare operator at a shape."""
    half = (shape.kernel_size - 1) // 2
    steps = ((shape.stride, shape.stride), (half, half), (1, 1))
    return ops.involution.geometry.of_aggregate(x, kernel, *steps)


def bare_bytes(shape: LayerShape, batch: int, itemsize: int) -> int:
    """What the bare operator must move: x and the kernel read once, y written once."""
    outputs = batch * shape.output_size**2
    kernel = outputs * shape.channels // GROUP_CHANNELS * shape.kernel_size**2
    return itemsize * (math.prod(shape.input_shape(batch)) + kernel + outputs * shape.channels)


def last(image: Tensor) -> Tensor:
    """Channels-last."""
    return image.contiguous(memory_format=torch.channels_last)


def _bare_tensors(
    shape: LayerShape, batch: int, sets: int, device: str, dtype: torch.dtype
) -> list[tuple[Tensor, Tensor]]:
    half = shape.kernel_size**2 * shape.channels // GROUP_CHANNELS
    made = []
    for span in spans([shape] * sets, batch, device, dtype):
        matrix = span.weight.reshape(half, -1, 1, 1)
        kernel = last(F.conv2d(span.features, matrix))
        sizes = (-1, shape.kernel_size, shape.kernel_size)
        made.append((span.x, kernel.unflatten(1, sizes)))
    return made
