"""The definition of involution, written down as loops: what every back end is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

Pair = tuple[int, int]


def involution(x: Tensor, kernel: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """y[b, c, i, j] = sum over u, v of kernel[b, g(c), u, v, i, j] * x[b, c, row(i, u), col(j, v)].

    Differentiable; in the dtype of its arguments, so give it float64.
    """
    _, channels, height, width = x.shape
    _, groups, size, _, rows, columns = kernel.shape
    weights = kernel.repeat_interleave(channels // groups, dim=1)
    pixels = []
    for i in range(rows):
        for j in range(columns):
            total = 0 * weights[:, :, 0, 0, i, j] * x[:, :, 0, 0]
            for u in range(size):
                for v in range(size):
                    row = i * stride[0] + u * dilation[0] - padding[0]
                    column = j * stride[1] + v * dilation[1] - padding[1]
                    if 0 <= row < height and 0 <= column < width:
                        total = total + weights[:, :, u, v, i, j] * x[:, :, row, column]
            pixels.append(total)
    return torch.stack(pixels, dim=2).unflatten(2, (rows, columns))
