"""C++ kernels for CPUs: fp32, bf16 (accumulated in fp32) and fp64, any strides.

Channels-last is the fastest. Threads follow `torch.get_num_threads()`; no result depends on their
number. The sources are in `kernels/`, and `native_library` loads what was built from them.
"""

from __future__ import annotations

from torch import Tensor

from ops.involution import layout
from ops.involution.backends.base import Backend
from ops.involution.backends.native.fused import FUSED
from ops.involution.backends.native.library import STORAGE, call, missing, plan, readable
from ops.involution.geometry import Geometry

__all__ = ["BACKEND"]


def aggregate(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """y: a task pads the channels of some groups into cache and keeps 14 pixels in registers."""
    x = readable(x)
    y = layout.empty_image(geometry.output_shape, x)
    if y.numel():
        steps = plan(geometry, x.dtype, x.stride(), y.stride(), kernel.stride())
        call("aggregate", steps, x.data_ptr(), kernel.data_ptr(), y.data_ptr())
    return y


def grad_input(grad_output: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of x: each task adds into a padded block of its own."""
    grad_output = readable(grad_output)
    result = layout.empty_image(geometry.input_shape, grad_output)
    if result.numel():
        steps = plan(geometry, result.dtype, result.stride(), grad_output.stride(), kernel.stride())
        call("grad_input", steps, grad_output.data_ptr(), kernel.data_ptr(), result.data_ptr())
    return result


def grad_kernel(grad_output: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of the kernel: products along a row, with pixels in the lanes."""
    grad_output, x = readable(grad_output), readable(x)
    result = layout.empty_kernel(geometry, grad_output)
    if not x.numel():
        return result.zero_()
    steps = plan(geometry, x.dtype, x.stride(), grad_output.stride(), result.stride())
    call("grad_kernel", steps, grad_output.data_ptr(), x.data_ptr(), result.data_ptr())
    return result


def _refuses(image: Tensor, geometry: Geometry) -> str | None:
    if image.device.type != "cpu":
        return f"it runs on a CPU, not on {image.device}"
    if image.dtype not in STORAGE:
        return f"it takes float32, bfloat16 and float64, not {image.dtype}"
    return None


BACKEND = Backend("native", aggregate, grad_input, grad_kernel, missing, _refuses, FUSED)
