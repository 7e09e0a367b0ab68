"""RedNet-50 beside ResNet-50 on a GPU: inference, eager and compiled, and steps of training."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.bench.gpu.compare import DTYPE, agree, compared, measured, streamed
from invsearch.bench.gpu.rows import GpuClaim, GpuFigure
from invsearch.bench.layers import seeded
from invsearch.bench.networks import STEM_KERNEL_SIZE, calibrated, with_backend
from invsearch.models import rednet, resnet
from ops.timing import Measurement

__all__ = ["compiled", "eager", "training"]

SIDE, CLASSES = 224, 1000  # ImageNet's, as the paper's networks are built for
TOLERANCE = 3e-2
"""Of logits in fp16 over 50 layers."""

STEPS = 3
"""Of training, whose losses must be the eager ones': the later ones depend on the gradients."""

LOSS_TOLERANCE = 1e-2
"""Of the losses in bf16."""

LEARNING_RATE = 0.01  # small: three steps must not part the compiled losses from the eager

Run = Callable[[], Tensor]
Prepare = Callable[[nn.Module], nn.Module]


def eager(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """As PyTorch runs both, without what its launches cost."""
    return _inference(row, device, seconds, _same)


def compiled(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """Both compiled, with frozen weights."""
    from torch._inductor import config

    with config.patch(freezing=True):
        return _inference(row, device, seconds, _compile)


def training(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """Both compiled, in bf16 by autocast; no graph: a step keeps the GPU longer than its launches.

    RedNet must have the losses that it has without compilation.
    """
    images = _images(int(row.batch or 1), device, torch.float32)
    with streamed(device):
        losses = {name: _losses(_step(one, images, _same)) for name, one in _networks().items()}
        runs = {name: _step(one, images, _compile) for name, one in _networks().items()}
        others = {name: _losses(run) for name, run in runs.items()}
        agree(others["RedNet-50"], losses["RedNet-50"], LOSS_TOLERANCE)
        comparison = compared(
            runs,
            device,
            seconds,
            reference="ResNet-50",
            dtype=torch.bfloat16,
            graphs=False,
        )
    more = {
        "images_per_s": _rates(comparison.measurements, len(images)),
        "losses, eager": {name: values.tolist() for name, values in losses.items()},
        "losses, compiled": {name: values.tolist() for name, values in others.items()},
    }
    return measured(row, comparison.speedup("RedNet-50"), comparison, more)


def _inference(row: GpuClaim, device: str, seconds: float, prepare: Prepare) -> GpuFigure:
    """RedNet must compute what it does by the torch form in fp32."""
    images = _images(int(row.batch or 1), device, DTYPE)
    with streamed(device), torch.no_grad():
        runs = {name: _forward(one, images, prepare) for name, one in _networks().items()}
        exact = with_backend(copy.deepcopy(_rednet()), "torch").to(device)
        agree(runs["RedNet-50"]()[:8], exact(images[:8].float()), TOLERANCE)
        comparison = compared(runs, device, seconds, reference="ResNet-50")
    more = {"images_per_s": _rates(comparison.measurements, len(images))}
    return measured(row, comparison.speedup("RedNet-50"), comparison, more)


def _forward(network: nn.Module, images: Tensor, prepare: Prepare) -> Run:
    prepared = prepare(_placed(network, images.device, images.dtype))
    prepared(images)
    return lambda: prepared(images)


def _step(network: nn.Module, images: Tensor, prepare: Prepare) -> Run:
    """A step of SGD on the same images each time; returns the loss before it."""
    placed = _placed(network, images.device, torch.float32).train()
    prepared = prepare(placed)
    optimizer = torch.optim.SGD(placed.parameters(), lr=LEARNING_RATE, momentum=0.9)
    labels = torch.arange(len(images), device=images.device) % CLASSES

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(images.device.type, torch.bfloat16):
            loss = F.cross_entropy(prepared(images), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _losses(step: Run) -> Tensor:
    return torch.stack([step() for _ in range(STEPS)])


def _rates(found: Mapping[str, Measurement], images: int) -> dict[str, dict[str, float]]:
    """Images a second, each with its 95 % interval."""
    rates = {}
    for name, one in found.items():
        low, high = one.interval
        rates[name] = {"value": images / one.median, "low": images / high, "high": images / low}
    return rates


def _images(batch: int, device: str, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, SIDE, SIDE, generator=generator).to(device, dtype)
    return images.contiguous(memory_format=torch.channels_last)


def _placed(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    placed = copy.deepcopy(network).to(device, dtype)
    return placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _same(network: nn.Module) -> nn.Module:
    return network


def _compile(network: nn.Module) -> nn.Module:
    return cast(nn.Module, torch.compile(network, dynamic=False))


def _networks() -> dict[str, nn.Module]:
    return {"RedNet-50": _rednet(), "ResNet-50": _resnet()}


@functools.cache
def _rednet() -> nn.Module:
    return calibrated(seeded(lambda: rednet(50, stem_kernel_size=STEM_KERNEL_SIZE)), _calibration())


@functools.cache
def _resnet() -> nn.Module:
    return calibrated(seeded(lambda: resnet(50)), _calibration())


def _calibration() -> Tensor:
    return torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
