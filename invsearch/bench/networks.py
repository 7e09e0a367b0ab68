"""Whole networks: RedNet-50 by back end, and beside ResNet-50."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

import ops
from invsearch.bench.case import Candidate, Case, Run
from invsearch.bench.layers import DEFAULT, UNFOLD, as_released, seeded, with_format
from invsearch.models import rednet, resnet
from invsearch.models.blocks import Bottleneck

__all__ = [
    "BRANCH",
    "bench_network",
    "calibrated",
    "compiled_networks_case",
    "networks_case",
    "unfold_network_case",
    "with_backend",
]

STEM_KERNEL_SIZE = 3
"""The released code's."""

BRANCH = 0.2
"""Weight of each block's branch beside its shortcut, as in a trained network well below one."""


def unfold_network_case(batch: int, device: str) -> Case:
    """RedNet-50 as users get it against itself with unfold; unfold in NCHW."""
    network = _rednet()
    unfold = with_backend(copy.deepcopy(network), UNFOLD)
    contiguous, last = torch.contiguous_format, torch.channels_last
    candidates = {
        DEFAULT: Candidate(_eager(network, batch, device, last), oracle=UNFOLD),
        UNFOLD: Candidate(_eager(unfold, batch, device, contiguous)),
    }
    return Case(f"reach/network/b{batch}", candidates, UNFOLD, facts={"batch": batch})


def networks_case(batch: int, device: str) -> Case:
    """RedNet-50 against ResNet-50, eager, channels-last."""
    return _two(f"reach/eager/b{batch}", _eager, batch, device)


def compiled_networks_case(batch: int, device: str) -> Case:
    """RedNet-50 against ResNet-50, compiled with their weights frozen, channels-last."""
    return _two(f"reach/compiled/b{batch}", _frozen, batch, device)


def calibrated(network: nn.Module, images: Tensor) -> nn.Module:
    """The network, in eval mode, with these images' batch statistics and no block at zero.

    A fresh network ends each block with zeros, which hides a wrong operator, and its untrained
    statistics let activations grow from block to block: involution squares them.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    for module in network.modules():
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, BRANCH)
    with torch.no_grad():
        network.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def with_backend(network: nn.Module, backend: str) -> nn.Module:
    """The network with one back end in all of its involutions; unfold as it was released."""
    for module in network.modules():
        if isinstance(module, ops.Involution2d):
            module.backend = backend
    return as_released(network) if backend == UNFOLD else network


@functools.cache
def _rednet() -> nn.Module:
    return calibrated(
        seeded(lambda: rednet(50, stem_kernel_size=STEM_KERNEL_SIZE)), _images(4, "cpu")
    )


@functools.cache
def _resnet() -> nn.Module:
    return calibrated(seeded(lambda: resnet(50)), _images(4, "cpu"))


def bench_network(name: str) -> nn.Module:
    """A calibrated network of one's own, in eval mode: ``rednet50`` or ``resnet50``."""
    return copy.deepcopy({"rednet50": _rednet, "resnet50": _resnet}[name]())


Enter = Callable[[contextlib.ExitStack], Run]
Maker = Callable[[nn.Module, int, str, torch.memory_format], Enter]


def _two(name: str, make: Maker, batch: int, device: str) -> Case:
    """Both networks; RedNet must also compute what it computes with unfold."""
    last = torch.channels_last
    rednet50, resnet50 = (make(n, batch, device, last) for n in (_rednet(), _resnet()))
    truth = functools.partial(_unfold_logits, batch, device)
    candidates = {
        "rednet50": Candidate(rednet50, oracle=lambda stack: truth),
        "resnet50": Candidate(resnet50),
    }
    return Case(name, candidates, "resnet50", facts={"batch": batch})


def _unfold_logits(batch: int, device: str) -> Tensor:
    network = with_backend(copy.deepcopy(_rednet()), UNFOLD).to(device)
    with torch.inference_mode():
        return torch.cat([network(image[None]) for image in _images(batch, device)])


def _images(batch: int, device: str) -> Tensor:
    return torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(device)


def _eager(network: nn.Module, batch: int, device: str, form: torch.memory_format) -> Enter:
    def enter(stack: contextlib.ExitStack) -> Run:
        placed = with_format(copy.deepcopy(network).to(device), form)
        x = _images(batch, device).contiguous(memory_format=form)
        stack.enter_context(torch.inference_mode())
        return lambda: placed(x)

    return enter


def _frozen(network: nn.Module, batch: int, device: str, form: torch.memory_format) -> Enter:
    def enter(stack: contextlib.ExitStack) -> Run:
        placed = with_format(copy.deepcopy(network).to(device), form)
        x = _images(batch, device).contiguous(memory_format=form)
        stack.callback(torch._dynamo.reset)
        stack.enter_context(torch._inductor.config.patch(freezing=True))
        stack.enter_context(torch.no_grad())
        compiled = torch.compile(placed, dynamic=False)
        compiled(x)
        return lambda: compiled(x)

    return enter
