"""Batch norm over the images of all processes, as one process with the whole batch has it.

It is so where gradients are wanted. Without them every process has the same images, those that
statistics are estimated anew from (:mod:`invsearch.train.batch_norm`), and each goes by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from invsearch.train.processes import summed

__all__ = ["synchronised"]


def synchronised(model: nn.Module, device: torch.device) -> nn.Module:
    """Replace the batch norms of a model, which keeps its weights and their names.

    On a GPU by torch's own, which has kernels for it; torch has none for a CPU.
    """
    kind = _OnGPU if device.type == "cuda" else _OnCPU
    for name, child in list(model.named_children()):
        if type(child) is nn.BatchNorm2d:
            setattr(model, name, _converted(child, kind))
        else:
            synchronised(child, device)
    return model


def _converted(norm: nn.BatchNorm2d, kind: type[_OnGPU] | type[_OnCPU]) -> nn.Module:
    own = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    own._parameters, own._buffers = norm._parameters, norm._buffers
    own.training = norm.training
    return own


class _OnGPU(nn.SyncBatchNorm):
    def forward(self, images: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            alone: Tensor = _BatchNorm.forward(self, images)
            return alone
        return super().forward(images)


class _OnCPU(nn.BatchNorm2d):
    def forward(self, images: Tensor) -> Tensor:
        if not self.training or not torch.is_grad_enabled():
            return super().forward(images)
        # sums of half precision would be lost
        values = images if images.dtype in (torch.float32, torch.float64) else images.float()
        own = values.new_tensor([values.numel() / values.shape[1]])
        sums = summed(torch.cat((values.sum((0, 2, 3)), own)))
        count, mean = sums[-1], sums[:-1] / sums[-1]
        centred = values - mean.view(1, -1, 1, 1)  # not of squares: those would cancel
        variance = summed(centred.square().sum((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach(), count.detach())
        scale = (variance + self.eps).rsqrt()
        if not self.affine:
            return (centred * scale.view(1, -1, 1, 1)).to(images.dtype)
        scale = (scale * self.weight).view(1, -1, 1, 1)
        return (centred * scale + self.bias.view(1, -1, 1, 1)).to(images.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum  # None: the average of all batches
        share = 1.0 / float(self.num_batches_tracked) if share is None else share
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1), share)
