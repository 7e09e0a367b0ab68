"""Averaged: the exponential moving average of a model's weights over the steps of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Averaged"]


class Averaged:
    """An average of the weights beside the model, as Polyak's, with weights that fade.

    Statistics of norms are not averaged: whoever evaluates estimates them anew.

    Args:
        model: On its device.
        decay: In [0, 1); what is left of the average at each step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._own = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
        self._average = {name: value.clone() for name, value in self._own.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0 over the whole training."""
        # a long memory of the first weights would outlast a short training
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._average.values()), list(self._own.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with the average as its weights; afterwards with its own again."""
        kept = {name: value.clone() for name, value in self._own.items()}
        self._write(self._average)
        try:
            yield
        finally:
            self._write(kept)

    def state_dict(self) -> dict[str, Tensor]:
        return self._average

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take an average over.

        Raises:
            KeyError: If it is of another model.
        """
        for name, value in self._average.items():
            value.copy_(state[name])

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, own in self._own.items():
            own.copy_(values[name])
