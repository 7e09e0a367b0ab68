"""`involution2d`: what users call."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.overrides import handle_torch_function

from ops.eager import symbolic
from ops.involution import library
from ops.involution.geometry import Pair, pair

__all__ = ["involution2d"]

_ONE = (1, 1)  # the default of stride and dilation


def involution2d(
    x: Tensor,
    kernel: Tensor,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | None = None,
    dilation: int | Sequence[int] = 1,
    backend: str | None = None,
) -> Tensor:
    """Involution: a weighted sum over each window, with weights of their own at every pixel.

    y[b, c, i, j] = sum over u, v of kernel[b, g(c), u, v, i, j] * x[b, c, i * s + u * d - p,
    j * s + v * d - p], with g(c) = c // (C / G) and zero padding (Li et al., CVPR 2021, section 3).

    Args:
        x: (B, C, H, W), floating point, any strides; channels-last is kept.
        kernel: (B, G, K, K, H_out, W_out), any strides, G a divisor of C; dtype and device of `x`
            (under autocast both are cast).
        stride: An int or (rows, columns), as `padding` and `dilation`.
        padding: Zeros on each side; None means (K - 1) // 2 * dilation.
        dilation: Step between window positions.
        backend: A name of `ops.backends()`; None takes the first that can run.

    Returns:
        y (B, C, H_out, W_out), H_out = (H + 2 * padding - dilation * (K - 1) - 1) // stride + 1.

    Raises:
        ValueError: If the shapes do not fit each other, or no back end has that name.
        TypeError: If dtypes or devices differ or are not floating point.
        RuntimeError: If the named back end cannot run; says why.
    """
    if symbolic(x) or symbolic(kernel):  # one node of fx's graph
        given = (x, kernel, stride, padding, dilation, backend)
        result: Tensor = handle_torch_function(involution2d, (x, kernel), *given)
        return result
    steps = _ONE if stride == 1 else pair("stride", stride, 1)
    spread = _ONE if dilation == 1 else pair("dilation", dilation, 1)
    border = _same(kernel, spread) if padding is None else pair("padding", padding, 0)
    return library.aggregate(x, kernel, steps, border, spread, backend)


def _same(kernel: Tensor, dilation: Pair) -> Pair:
    half = (kernel.shape[2] - 1) // 2 if kernel.dim() > 2 else 0
    return half * dilation[0], half * dilation[1]
