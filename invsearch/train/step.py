"""Step: one update of a model's weights from one batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from invsearch.train.precision import computing_in, grad_scaler
from invsearch.train.recipe import Recipe
from invsearch.train.tasks import CLASSIFICATION, LearningTask

__all__ = ["Step"]


class Step:
    """Forward, backward, clipping and update, queued on the device and not waited for.

    Args:
        model: On the device, in the mode it is trained in.
        recipe: How to train.
        device: Where the model is.
        task: What is learned.

    Attributes:
        optimizer: Of the model's parameters.
        scaler: Of the loss in fp16; None otherwise.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        device: torch.device,
        task: LearningTask = CLASSIFICATION,
    ) -> None:
        self.model, self.recipe, self.device, self.task = model, recipe, device, task
        self.optimizer = recipe.make_optimizer(model)
        self.scaler = grad_scaler(recipe.precision, device)
        # the compiled form shares the model's weights; all but training uses the model itself
        self._forward: Callable[[Tensor], Tensor] = (
            torch.compile(model) if recipe.compile else model
        )

    def __call__(self, images: Tensor, labels: Tensor, rate: float | Tensor) -> Tensor:
        """Take the step and return the loss before it, a tensor on the device.

        Args:
            images: (B, C, H, W), normalised.
            labels: As the task takes them: int64 (B,), or probabilities (B, classes).
            rate: The learning rate; a tensor is read on the device, by each replay of a graph anew.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with computing_in(self.recipe.precision, self.device):
            logits = self._forward(images)
        loss = self.task.loss(logits.float(), labels, self.recipe.label_smoothing)
        if self.scaler is None:
            loss.backward()
            self._clip()
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            self._clip()
            self.scaler.step(self.optimizer)  # leaves the weights if a gradient is not finite
            self.scaler.update()
        return loss.detach()

    def _clip(self) -> None:
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip, foreach=True)
