"""Problems that the bare CUDA kernels are tried on, and what is launched for them."""

from __future__ import annotations

import torch
from problems import Problem
from torch import Tensor

from ops.involution.backends.cuda import BACKEND
from ops.involution.backends.cuda import launch as cuda_launch
from ops.involution.backends.cuda.launch import Launch
from ops.involution.geometry import of_aggregate


def layer(
    kernel_size: int,
    stride: int,
    form: str = "channels_last",
    size: tuple[int, int] = (9, 11),
    group_channels: int = 16,
) -> Problem:
    """Padded so that the output is a `stride`-th of the input, rounded up."""
    padding = (kernel_size - 1) // 2
    return Problem(
        batch=2,
        groups=2,
        group_channels=group_channels,
        kernel_size=kernel_size,
        size=size,
        stride=(stride, stride),
        padding=(padding, padding),
        dilation=(1, 1),
        image_layout=form,
        kernel_layout="native" if form == "channels_last" else form,
        seed=0,
    )


def family(problem: Problem, x: Tensor, kernel: Tensor, grad: Tensor) -> list[Tensor]:
    """y, gradient of x, gradient of the kernel."""
    geometry = of_aggregate(x, kernel, *problem.window)
    return [
        BACKEND.aggregate(x, kernel, geometry),
        BACKEND.grad_input(grad, kernel, geometry),
        BACKEND.grad_kernel(grad, x, geometry),
    ]


def launches(problem: Problem, dtype: torch.dtype) -> list[Launch]:
    """What `family` launches."""
    seen: list[Launch] = []

    def record(launch: Launch, *arguments: object) -> None:
        seen.append(launch)

    before, cuda_launch.executor = cuda_launch.executor, record
    try:
        family(problem, *problem.tensors(dtype))
    finally:
        cuda_launch.executor = before
    return seen
