"""Batch norm over the images of all processes, as one process with the whole batch has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from invsearch.train.processes import summed

__all__ = ["synchronised"]


def synchronised(model: nn.Module, device: torch.device) -> nn.Module:
    """Replace the batch norms of a model, which keeps its weights and their names.

    On a GPU by torch's own, which has kernels for it; torch has none for a CPU.
    """
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return converted
    for name, child in list(model.named_children()):
        if type(child) is nn.BatchNorm2d:
            setattr(model, name, _SyncedBatchNorm2d.of(child))
        else:
            synchronised(child, device)
    return model


class _SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose mean and variance are those of all processes' images."""

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> _SyncedBatchNorm2d:
        own = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        own._parameters, own._buffers = norm._parameters, norm._buffers
        own.training = norm.training
        return own

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return super().forward(images)
        values = images.float()
        own = values.new_tensor([values.numel() / values.shape[1]])
        sums = summed(torch.cat((values.sum((0, 2, 3)), own)))
        count, mean = sums[-1], sums[:-1] / sums[-1]
        centred = values - mean.view(1, -1, 1, 1)  # not of squares: those would cancel
        variance = summed(centred.square().sum((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach(), count.detach())
        scale = (variance + self.eps).rsqrt()
        shift = None
        if self.affine:
            scale, shift = scale * self.weight, self.bias
        found = centred * scale.view(1, -1, 1, 1)
        found = found if shift is None else found + shift.view(1, -1, 1, 1)
        return found.to(images.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # the average of all batches
            share = 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1), share)
