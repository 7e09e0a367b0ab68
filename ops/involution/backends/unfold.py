"""The paper's definition with F.unfold: every window is copied out. The oracle of the others."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ops.involution import layout
from ops.involution.backends.base import Backend
from ops.involution.geometry import Geometry

__all__ = ["BACKEND"]


def aggregate(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """y: the windows of x, weighted by the kernel and summed."""
    y = (_windows(x, geometry) * _weights(kernel)).sum(3).view(geometry.output_shape)
    return layout.empty_image(geometry.output_shape, x).copy_(y)


def grad_input(grad_output: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of x: the weighted output gradients, folded back."""
    columns = _weights(kernel) * _grouped(grad_output, geometry)
    folded = F.fold(
        columns.reshape(
            geometry.batch,
            geometry.channels * geometry.kernel_size**2,
            geometry.output_size[0] * geometry.output_size[1],
        ),
        geometry.input_size,
        geometry.kernel_size,
        dilation=geometry.dilation,
        padding=geometry.padding,
        stride=geometry.stride,
    )
    return layout.empty_image(geometry.input_shape, grad_output).copy_(folded)


def grad_kernel(grad_output: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of the kernel: windows of x times output gradients, summed over the group."""
    products = (_windows(x, geometry) * _grouped(grad_output, geometry)).sum(2)
    return layout.empty_kernel(geometry, grad_output).copy_(products.view(geometry.kernel_shape))


def _windows(x: Tensor, geometry: Geometry) -> Tensor:
    """(B, G, C / G, K * K, H_out, W_out)."""
    columns = F.unfold(
        x,
        geometry.kernel_size,
        dilation=geometry.dilation,
        padding=geometry.padding,
        stride=geometry.stride,
    )
    return columns.view(
        geometry.batch,
        geometry.groups,
        geometry.channels // geometry.groups,
        geometry.kernel_size**2,
        *geometry.output_size,
    )


def _weights(kernel: Tensor) -> Tensor:
    """(B, G, 1, K * K, H_out, W_out)."""
    return kernel.flatten(2, 3).unsqueeze(2)


def _grouped(grad_output: Tensor, geometry: Geometry) -> Tensor:
    """(B, G, C / G, 1, H_out, W_out)."""
    group_channels = geometry.channels // geometry.groups
    return grad_output.reshape(
        geometry.batch, geometry.groups, group_channels, 1, *geometry.output_size
    )


BACKEND = Backend("unfold", aggregate, grad_input, grad_kernel)
