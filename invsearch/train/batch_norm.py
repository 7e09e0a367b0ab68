"""Batch-norm statistics of the weights as they are now, not of those some steps ago.

Running averages lag behind the weights. Early in training they lag so far that the evaluation
loss of a healthy network is 1e7 or nan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["reestimated_batch_norm"]


@contextmanager
def reestimated_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> Iterator[nn.Module]:
    """Put the model in evaluation mode with statistics averaged over the batches.

    On leaving, every buffer, momentum and mode is as it was: training that goes on is undisturbed.
    For a model to take home, copy its ``state_dict`` inside.

    Args:
        model: Any module; one without batch norm is only put in evaluation mode.
        batches: Training images, each (B, C, H, W) on the model's device; equal weights.

    Yields:
        The model.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    buffers = [[buffer.clone() for buffer in norm.buffers(recurse=False)] for norm in norms]
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        if norms:
            _estimate(model, norms, batches)
        yield model
    finally:
        for norm, momentum, saved in zip(norms, momenta, buffers, strict=True):
            norm.momentum = momentum
            for buffer, value in zip(norm.buffers(recurse=False), saved, strict=True):
                buffer.copy_(value)
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def _estimate(model: nn.Module, norms: list[_BatchNorm], batches: Iterable[Tensor]) -> None:
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    for images in batches:
        model(images)
    for norm in norms:
        norm.eval()
