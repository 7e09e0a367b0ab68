"""Step: one update of a model's weights from one batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from invsearch.train.optimizers import OPTIMIZERS
from invsearch.train.precision import computing_in, grad_scaler
from invsearch.train.recipe import Recipe
from invsearch.train.tasks import CLASSIFICATION, LearningTask, Outputs

__all__ = ["Step"]


class Step:
    """Forward, backward, clipping and update, queued on the device and not waited for.

    A step whose loss or gradient is not finite leaves the weights alone, and from there on every
    other does: what went wrong can be looked at when it is found out. (In fp16 the scaler leaves
    out single steps whose scaled gradient is too large, and goes on.)

    Args:
        model: On the device, in the mode it is trained in.
        recipe: How to train.
        device: Where the model is.
        task: What is learned.
        shared: The task's form of the model as several processes train it together, a
            ``DistributedDataParallel`` of it; None for this process alone.

    Attributes:
        optimizer: Of the model's parameters.
        scaler: Of the loss in fp16; None otherwise.
        norm: Of the last step's gradient before it was clipped, a tensor on the device.
        form: The model as the task trains it, in this process alone.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        device: torch.device,
        task: LearningTask = CLASSIFICATION,
        shared: nn.Module | None = None,
    ) -> None:
        self.model, self.recipe, self.device, self.task = model, recipe, device, task
        self.optimizer = recipe.make_optimizer(model)
        self.scaler = grad_scaler(recipe.precision, device)
        self.norm = torch.zeros((), device=device)
        self._shared = shared
        self._lost = torch.zeros((), device=device)
        if OPTIMIZERS[recipe.optimizer].freezes and self.scaler is None:
            self.optimizer.found_inf = self._lost  # type: ignore[attr-defined]  # as GradScaler sets
        self.form = task.form(model)
        whole = self.form if shared is None else shared
        # the compiled form shares the model's weights; all but training uses the model itself
        self._forward: Callable[[Tensor], Outputs] = (
            torch.compile(whole) if recipe.compile else whole
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
        loss = self._gradient(images, labels)
        if self.scaler is None:
            self._clip()
            finite = loss.isfinite() & self.norm.isfinite()
            self._lost.copy_(torch.maximum(self._lost, (~finite).float()))
            self.optimizer.step()
        else:
            self.scaler.unscale_(self.optimizer)
            self._clip()
            self.scaler.step(self.optimizer)  # leaves the weights if a gradient is not finite
            self.scaler.update()
        return loss

    def reset(self) -> None:
        """Take steps again, after other weights were loaded."""
        self._lost.zero_()

    def loss_of(self, outputs: Outputs, targets: Tensor) -> Tensor:
        """The loss of a batch's outputs."""
        if isinstance(outputs, Tensor):
            outputs = outputs.float()
        else:
            outputs = tuple(one.float() for one in outputs)
        return self.task.loss(outputs, targets, self.recipe.label_smoothing)

    def _gradient(self, images: Tensor, targets: Tensor) -> Tensor:
        """Add up the gradient of a batch, part by part, and return the loss."""
        parts = self.recipe.accumulate
        total: Tensor | None = None
        pairs = list(zip(images.chunk(parts), targets.chunk(parts), strict=True))
        for number, (some, truth) in enumerate(pairs, start=1):
            with self._together(number == len(pairs)):
                with computing_in(self.recipe.precision, self.device):
                    outputs = self._forward(some)
                loss = self.loss_of(outputs, truth)
                if len(pairs) > 1:
                    loss = loss * (self.task.counted(truth) / self.task.counted(targets))
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        return total

    def _together(self, last: bool) -> AbstractContextManager[object]:
        """Processes exchange their gradients once a step, with the last part's."""
        if self._shared is None or last:
            return nullcontext()
        waiting: AbstractContextManager[object] = self._shared.no_sync()  # type: ignore[operator]
        return waiting

    def _clip(self) -> None:
        self.norm = nn.utils.clip_grad_norm_(
            self.model.parameters(), self.recipe.clip, foreach=True
        ).detach()
