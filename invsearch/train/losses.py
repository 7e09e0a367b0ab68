"""The losses of an epoch's steps, fetched from the device a few times an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from invsearch.train.divergence import DivergedError

__all__ = ["Losses"]

_HELD = 64
"""Losses that stay on a device: a fetch waits for it, so once in some seconds, not every step."""


class Losses:
    """Sums up losses, and fails at the first that is not finite.

    Args:
        epoch: From 1, for the message.
        device: Where the losses are; on a CPU each is looked at when it comes.
        state: What :meth:`state_dict` gave, to go on within an epoch.
        scaled: Whether the norm of a gradient may be infinite without harm, as in fp16, where such
            a step is left out.
    """

    def __init__(
        self,
        epoch: int,
        device: torch.device,
        state: Mapping[str, float] | None = None,
        *,
        scaled: bool = False,
    ) -> None:
        self._epoch, self._most = epoch, 1 if device.type == "cpu" else _HELD
        self._scaled = scaled
        self._held: list[Tensor] = []
        state = state or {"steps": 0, "total": 0.0, "norm": math.nan}
        self._steps, self._total = int(state["steps"]), state["total"]
        self._norm = state["norm"]

    def add(self, loss: Tensor, norm: Tensor | None = None) -> None:
        """Take the next step's loss, a tensor of one number that nothing else will write to.

        Args:
            loss: Before the step.
            norm: Of the gradient, before it was clipped.

        Raises:
            DivergedError: If this or an earlier one is not finite, with the epoch and the step,
                from 1.
        """
        self._held.append(torch.stack((loss, torch.zeros_like(loss) if norm is None else norm)))
        if len(self._held) >= self._most:
            self._fetch()

    def mean(self) -> float:
        """The mean of all losses, in nats.

        Raises:
            DivergedError: As :meth:`add` does.
        """
        self._fetch()
        return self._total / self._steps

    def state_dict(self) -> dict[str, float]:
        """What goes on from here.

        Raises:
            DivergedError: As :meth:`add` does.
        """
        self._fetch()
        return {"steps": self._steps, "total": self._total, "norm": self._norm}

    def _fetch(self) -> None:
        if not self._held:
            return
        for loss, norm in torch.stack(self._held).tolist():
            self._steps += 1
            if not math.isfinite(loss) or not (self._scaled or math.isfinite(norm)):
                raise DivergedError(self._epoch, self._steps, loss, norm, self._norm)
            self._total += loss
            self._norm = norm
        self._held.clear()
