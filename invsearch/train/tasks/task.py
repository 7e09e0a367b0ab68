"""LearningTask: the loss that training brings down, and what an evaluation says of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from invsearch.metrics import Fidelity, Metric

__all__ = ["Judge", "LearningTask"]


class Judge(Protocol):
    """Judges a model as it stands, in evaluation mode."""

    def __call__(
        self,
        model: nn.Module,
        batches: Iterable[tuple[Tensor, Tensor]],
        fidelity: Fidelity | None = None,
    ) -> dict[str, Metric]:
        """Evaluate a model.

        Args:
            model: In evaluation mode; images (B, C, H, W) -> outputs.
            batches: Images on the model's device and their targets; none twice.
            fidelity: Noted in each metric.

        Returns:
            The task's metrics; one that is not finite is left out.
        """


@dataclass(frozen=True)
class LearningTask:
    """What a network learns.

    Attributes:
        name: On the command line and in tables.
        metrics: Names of what ``judge`` gives; ``val_loss`` is among them, and is what a finished
            training must have.
        loss: From the network's outputs in float32, the targets and the label smoothing to the
            mean loss of a batch, a tensor of one number.
        judge: Judges a model.
    """

    name: str
    metrics: tuple[str, ...]
    loss: Callable[[Tensor, Tensor, float], Tensor]
    judge: Judge
