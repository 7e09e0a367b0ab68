"""The losses of an epoch's steps, fetched from the device a few times an epoch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from invsearch.errors import TrialError

__all__ = ["Losses"]

_HELD = 64
"""Losses that stay on a device: a fetch waits for it, so once in some seconds, not every step."""


class Losses:
    """Sums up losses, and fails at the first that is not finite.

    Args:
        epoch: From 1, for the message.
        device: Where the losses are; on a CPU each is looked at when it comes.
    """

    def __init__(self, epoch: int, device: torch.device) -> None:
        self._epoch, self._most = epoch, 1 if device.type == "cpu" else _HELD
        self._held: list[Tensor] = []
        self._steps, self._total = 0, 0.0

    def add(self, loss: Tensor) -> None:
        """Take the next step's loss, a tensor of one number that nothing else will write to.

        Raises:
            TrialError: If this or an earlier loss is not finite, with the epoch and the step,
                from 1.
        """
        self._held.append(loss)
        if len(self._held) >= self._most:
            self._fetch()

    def mean(self) -> float:
        """The mean of all losses, in nats.

        Raises:
            TrialError: As :meth:`add` does.
        """
        self._fetch()
        return self._total / self._steps

    def _fetch(self) -> None:
        if not self._held:
            return
        for loss in torch.stack(self._held).tolist():
            self._steps += 1
            if not math.isfinite(loss):
                where = f"at epoch {self._epoch}, step {self._steps}"
                raise TrialError(f"training loss is {loss} {where}")
            self._total += loss
        self._held.clear()
