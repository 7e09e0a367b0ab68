"""A training that diverged: at which step, in which layer, and what helps.

The step whose loss or gradient is not finite leaves the weights as they were, and so do all after
it (see :class:`invsearch.train.step.Step`): the same batch, sent through again and watched, shows
where the first number is that is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from invsearch.errors import TrialError
from invsearch.train.recipe import Recipe

__all__ = ["DivergedError", "explained", "first_not_finite"]


class DivergedError(TrialError):
    """A training whose loss, or whose gradient, is not finite.

    Args:
        epoch: From 1.
        step: Within the epoch, from 1.
        loss: Of that step.
        norm: Of its gradient.
        before: Norm of the gradient of the step before; nan where there is none.
        reason: What is known beyond that.
    """

    def __init__(
        self, epoch: int, step: int, loss: float, norm: float, before: float, reason: str = ""
    ) -> None:
        self.epoch, self.step, self.loss, self.norm, self.before = epoch, step, loss, norm, before
        earlier = f", {before:.3g} at the step before" if math.isfinite(before) else ""
        super().__init__(
            f"training loss is {loss:.6g} at epoch {epoch}, step {step} (gradient norm "
            f"{norm:.3g}{earlier})" + (f": {reason}" if reason else "")
        )

    def __reduce__(self) -> tuple[object, ...]:
        fields = (self.epoch, self.step, self.loss, self.norm, self.before)
        return _rebuilt, (fields, str(self))


def _rebuilt(fields: tuple[int, int, float, float, float], text: str) -> DivergedError:
    """What arrives from another process says what it said there."""
    error = DivergedError(*fields)
    error.args = (text,)
    return error


def explained(error: DivergedError, where: str, recipe: Recipe) -> DivergedError:
    """The same with the place of the first number that is not finite, and the remedy.

    Args:
        error: What was found.
        where: What :func:`first_not_finite` says, or empty.
        recipe: What may be changed.
    """
    half = ", or precision bf16 rather than fp16," if recipe.precision == "fp16" else ""
    remedy = f"a lower lr ({recipe.lr:g}) or clip ({recipe.clip:g}){half}"
    reason = f"{where}; {remedy} may help".removeprefix("; ")
    return DivergedError(error.epoch, error.step, error.loss, error.norm, error.before, reason)


def first_not_finite(
    model: nn.Module,
    images: Tensor,
    loss_of: Callable[[Any], Tensor],
    form: nn.Module | None = None,
) -> str:
    """Say where the first number that is not finite is: in a weight, an output or a gradient.

    Args:
        model: In the mode it was trained in; its gradients are lost.
        images: The batch.
        loss_of: From the outputs to the loss.
        form: What gives the outputs, with the model inside; None for the model itself.

    Returns:
        Words, such as ``the output of stages.1.0.operator is not finite``; empty if all is finite.
    """
    if not bool(images.isfinite().all()):
        return "the images themselves are not finite"
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            return f"the weights {name} are not finite"
    outputs: list[str] = []
    gradients: list[str] = []
    with _watched(model, outputs, gradients):
        loss = loss_of((form or model)(images))
        if outputs:
            return f"the first layer whose output is not finite is {outputs[0]}"
        if not bool(loss.isfinite()):
            return "every layer's output is finite, and the loss is not"
        model.zero_grad(set_to_none=True)
        loss.backward()
    if gradients:
        return f"the first layer whose gradient is not finite is {gradients[0]}"
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            return f"the first layer whose gradient is not finite is that of {name}"
    return ""


@contextmanager
def _watched(model: nn.Module, outputs: list[str], gradients: list[str]) -> Iterator[None]:
    """Note names of modules in the order in which something is not finite there.

    The hooks of a module come after those of its parts, so the first name is the innermost.
    """

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not isinstance(output, Tensor) or not output.is_floating_point():
                return
            if not bool(output.isfinite().all()):
                outputs.append(name)
            elif output.requires_grad:
                output.register_hook(lambda gradient: noted(name, gradient))

        return hook

    def noted(name: str, gradient: Tensor) -> None:
        if not bool(gradient.isfinite().all()):
            gradients.append(name)

    handles = [
        module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name
    ]
    try:
        with torch.enable_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()
