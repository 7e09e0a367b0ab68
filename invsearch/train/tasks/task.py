"""LearningTask: the loss that training brings down, and what an evaluation says of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from invsearch.metrics import Fidelity, Metric

__all__ = ["Judge", "LearningTask", "Outputs"]

Outputs = Tensor | tuple[Tensor, ...]
"""What a network puts out in training: logits, or those of several heads, the main one first."""


def _itself(model: nn.Module) -> nn.Module:
    return model


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
        form: From a model to what training runs, a module with the same parameters: images to
            outputs. Itself, where training wants no more than what is used afterwards.
        counted: How many of a batch's targets its mean loss is over, for parts to add up by.
    """

    name: str
    metrics: tuple[str, ...]
    loss: Callable[[Outputs, Tensor, float], Tensor]
    judge: Judge
    form: Callable[[nn.Module], nn.Module] = _itself
    counted: Callable[[Tensor], int | Tensor] = len
