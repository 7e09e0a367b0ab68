"""Correctness on a GPU, before anything is timed: each form against the definition in fp64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from invsearch.bench.gpu.layers import Span, spans
from invsearch.bench.shapes import REDNET50, LayerShape
from ops.involution import library
from ops.involution.composition import composed
from ops.involution.fused import fused

__all__ = ["TOLERANCES", "Check", "checks"]

BATCH = 3
TOLERANCES = {torch.float16: 4e-3, torch.bfloat16: 3e-2, torch.float32: 1e-5}
"""Of |result - exact| / |exact|. In low precision the kernel's entries are rounded as well."""


@dataclass(frozen=True)
class Check:
    """One tensor compared.

    Attributes:
        kind: Kind of the rows that need it: `bare`, `fused` or `backward`.
        what: Which operator, result and shape.
        error: |result - exact| / |exact|, or None if it could not be computed.
        tolerance: The most that is allowed.
        reason: What went wrong instead.
    """

    kind: str
    what: str
    error: float | None
    tolerance: float
    reason: str | None = None

    @property
    def passed(self) -> bool:
        """False for NaN, too."""
        return self.error is not None and self.error <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "passed": self.passed}


Results = Callable[[Span], list[tuple[str, Tensor, Tensor]]]


def checks(device: str, dtype: torch.dtype = torch.float16) -> Iterator[Check]:
    """Every operator at every shape of the network, by the back end that a user gets."""
    for shape in REDNET50:
        for kind, results in (("bare", _bare), ("fused", _fused), ("backward", _backward)):
            yield from _compared(kind, shape, device, dtype, results)


def _compared(
    kind: str, shape: LayerShape, device: str, dtype: torch.dtype, results: Results
) -> Iterator[Check]:
    tolerance = TOLERANCES[dtype]
    try:
        (layer,) = spans([shape], BATCH, device, dtype)
        for name, ours, exact in results(layer):
            difference = (ours.double() - exact).norm() / exact.norm()
            yield Check(kind, f"{name}, {shape.name}", float(difference), tolerance)
    except Exception as error:  # whatever a kernel does, the others are still checked
        yield Check(kind, f"{kind}, {shape.name}", None, tolerance, _first_line(error))


def _bare(layer: Span) -> list[tuple[str, Tensor, Tensor]]:
    kernel = _kernel(layer)
    grad = torch.randn_like(layer.unfused())
    ours = _family(layer, kernel, layer.x, grad, None)
    exact = _family(layer, kernel.double(), layer.x.double(), grad.double(), "torch")
    names = ("aggregate", "grad_input", "grad_kernel")
    return list(zip(names, ours, exact, strict=True))


def _family(
    layer: Span, kernel: Tensor, x: Tensor, grad: Tensor, backend: str | None
) -> list[Tensor]:
    size, groups = kernel.shape[2], kernel.shape[1]
    return [
        library.aggregate(x, kernel, *layer.window, backend),
        library.grad_input(grad, kernel, x.shape[2:], *layer.window, backend),
        library.grad_kernel(grad, x, size, groups, *layer.window, backend),
    ]


def _fused(layer: Span) -> list[tuple[str, Tensor, Tensor]]:
    exact = _exact([tensor.double() for tensor in layer.tensors], layer)
    return [("fused", layer.fused(), exact), ("unfused", layer.unfused(), exact)]


def _backward(layer: Span) -> list[tuple[str, Tensor, Tensor]]:
    ours = [tensor.detach().requires_grad_() for tensor in layer.tensors]
    exact = [tensor.detach().double().requires_grad_() for tensor in layer.tensors]
    y, wanted = fused(*ours, *layer.window), _exact(exact, layer)
    grad = torch.randn_like(y)
    gradients = zip(
        ("x", "features", "weight", "bias"),
        torch.autograd.grad(y, ours, grad),
        torch.autograd.grad(wanted, exact, grad.double()),
        strict=True,
    )
    return [(f"gradient of {name}", result, want) for name, result, want in gradients]


def _exact(tensors: Sequence[Tensor], layer: Span) -> Tensor:
    x, features, weight, bias = tensors
    return composed(x, features, weight, bias, *layer.window, "torch")


def _kernel(layer: Span) -> Tensor:
    groups, size, _, hidden = layer.weight.shape
    matrix = layer.weight.reshape(-1, hidden, 1, 1)
    span = torch.nn.functional.conv2d(layer.features, matrix, layer.bias.reshape(-1))
    kernel: Tensor = span.unflatten(1, (groups, size, size))
    return kernel


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
