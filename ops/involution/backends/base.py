"""What a back end is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ops.involution.geometry import Geometry

__all__ = ["Backend", "Fused"]

Form = Callable[[Tensor, Tensor, Geometry], Tensor]
Gradients = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Fused:
    """Generation and aggregation in one, without a kernel tensor; see `ops.involution.fused`.

    Attributes:
        device: Type of the devices it runs on.
        forward: (x, features, weight, bias, geometry) -> y.
        backward: (grad_output, x, features, weight, bias, geometry) -> gradients of the latter.
        bottleneck: (x, reduce, mean, variance, gain, offset, weight, bias, epsilon, geometry) -> y.
        refuses: (x, weight, geometry) -> why forward and bottleneck should go through a kernel
            tensor instead, or None.
    """

    device: str
    forward: Callable[[Tensor, Tensor, Tensor, Tensor | None, Geometry], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None, Geometry], Gradients]
    bottleneck: Callable[..., Tensor]
    refuses: Callable[[Tensor, Tensor, Geometry], str | None] = lambda x, weight, geometry: None


@dataclass(frozen=True)
class Backend:
    """One implementation of the trilinear family.

    The three functions get checked arguments of one dtype and device, with any strides, and return
    a tensor in the layout that `ops.involution.layout` gives.

    Attributes:
        name: What users call it.
        aggregate: (x, kernel, geometry) -> y.
        grad_input: (grad_output, kernel, geometry) -> gradient of x.
        grad_kernel: (grad_output, x, geometry) -> gradient of the kernel.
        missing: Why it cannot run on this machine at all, or None.
        refuses: Why it cannot run on this tensor and geometry, or None.
        fused: Its fused forms, if it has them.
    """

    name: str
    aggregate: Form
    grad_input: Form
    grad_kernel: Form
    missing: Callable[[], str | None] = lambda: None
    refuses: Callable[[Tensor, Geometry], str | None] = lambda image, geometry: None
    fused: Fused | None = None
