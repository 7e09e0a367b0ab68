"""GraphedStep: the whole step of an optimiser as one CUDA graph.

A small network on small images leaves a GPU idle most of the time: Python needs longer to queue a
kernel than the GPU to run it. A graph queues all kernels of a step at once. The first steps are
taken as usual, so that every kernel is compiled and every buffer of the optimiser exists; then one
step is captured, which runs nothing, and from there on replayed with other numbers in its inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from invsearch.errors import InvsearchError
from invsearch.train.step import Step

__all__ = ["WARM_UP_STEPS", "CaptureError", "GraphedStep"]

WARM_UP_STEPS = 3
"""As torch's notes on CUDA graphs ask for; the optimiser's buffers exist after one."""

Replay = Callable[[], object]
Capture = Callable[[Callable[[], Tensor]], tuple[Replay, Tensor]]


class CaptureError(InvsearchError):
    """A step cannot be captured: train this network anew, without a graph."""


class GraphedStep:
    """Takes a :class:`Step` by replaying a CUDA graph; every batch must have the same shape.

    Args:
        step: What to take; in ``fp32`` or ``bf16`` and not compiled.
        capture: How a function is captured; another one stands in where there is no GPU.

    Raises:
        CaptureError: If the step's recipe cannot be captured.
    """

    def __init__(self, step: Step, capture: Capture | None = None) -> None:
        if step.scaler is not None or step.recipe.compile:
            raise CaptureError("a step in fp16, or a compiled one, is not captured in a graph")
        if capture is None and step.device.type != "cuda":
            raise CaptureError(f"CUDA graphs need a CUDA device, not {step.device}")
        self._step, self._capture = step, capture or _captured
        self._stream = torch.cuda.Stream(step.device) if step.device.type == "cuda" else None
        self._rate = torch.zeros((), device=step.device)
        self._graph: _Graph | None = None
        self.reset()

    @property
    def captured(self) -> bool:
        """Whether steps are replayed by now."""
        return self._graph is not None

    @property
    def norm(self) -> Tensor:
        """Of the last step's gradient; nothing else will write to it."""
        return self._step.norm.clone()

    def reset(self) -> None:
        """Forget the graph: call it when the optimiser's buffers were replaced."""
        self._taken, self._graph = 0, None
        for group in self._step.optimizer.param_groups:
            if "capturable" in group and self._stream is not None:
                group["capturable"] = True

    def __call__(self, images: Tensor, labels: Tensor, rate: float | Tensor) -> Tensor:
        """Take the step and return the loss before it; see :class:`Step`.

        Raises:
            CaptureError: If the step cannot be captured. The weights are of no use any more.
            ValueError: If the batch has another shape than the captured one.
        """
        self._rate.fill_(rate)
        if self._taken < WARM_UP_STEPS:
            self._taken += 1
            return self._warm_up(images, labels)
        if self._graph is None:
            self._graph = self._record(images, labels)
        return self._graph.take(images, labels)

    def _warm_up(self, images: Tensor, labels: Tensor) -> Tensor:
        """On a stream of its own: what autograd remembers of it must not lead out of a capture."""
        if self._stream is None:
            return self._step(images, labels, self._rate)
        current = torch.cuda.current_stream(self._step.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            loss = self._step(images, labels, self._rate)
        current.wait_stream(self._stream)
        for tensor in (images, labels):
            tensor.record_stream(self._stream)
        return loss.clone()

    def _record(self, images: Tensor, labels: Tensor) -> _Graph:
        images, labels = images.clone(), labels.clone()
        try:
            replay, loss = self._capture(lambda: self._step(images, labels, self._rate))
        except Exception as error:  # whatever an operator does that a capture forbids
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CaptureError(f"the step cannot be captured: {reason}") from error
        return _Graph(replay, images, labels, loss)


@dataclass(frozen=True)
class _Graph:
    """A captured step with the tensors that it reads and writes."""

    replay: Replay
    images: Tensor
    labels: Tensor
    loss: Tensor

    def take(self, images: Tensor, labels: Tensor) -> Tensor:
        if (images.shape, labels.shape) != (self.images.shape, self.labels.shape):
            raise ValueError(f"captured for {tuple(self.images.shape)}, not {tuple(images.shape)}")
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.replay()
        return self.loss.clone()


def _captured(run: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = run()
    return graph.replay, loss
