"""Judge: a model's final weights, and how good they are; the training goes on as if nothing was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invsearch.data import Part
from invsearch.metrics import Fidelity, Metric
from invsearch.train.at_work import at_work
from invsearch.train.averaged import Averaged
from invsearch.train.batch_norm import reestimated_batch_norm
from invsearch.train.batches import Batch, Batches
from invsearch.train.evaluate import score
from invsearch.train.precision import computing_in
from invsearch.train.processes import Processes
from invsearch.train.recipe import Recipe
from invsearch.train.seeding import epoch_seed
from invsearch.train.tasks import LearningTask

__all__ = ["Judge"]

_NORM_BATCH = 128  # images a batch norm's statistics are taken over at once
_NORM_IMAGES = 10 * _NORM_BATCH  # at most: a third of the time of an epoch on digits


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges a model whenever it is asked to.

    Attributes:
        model: What is trained.
        averaged: The average of its weights, which is judged where there is one.
        batches: Where its images come from.
        task: What it learns.
        recipe: How, and in which precision.
        seed: Which images batch-norm statistics are estimated from.
        device: Where it is.
        dense: Whether every pixel is judged.
        processes: Those that train it together.
    """

    model: nn.Module
    averaged: Averaged | None
    batches: Batches
    task: LearningTask
    recipe: Recipe
    seed: int
    device: torch.device
    dense: bool
    processes: Processes

    def weights(self) -> dict[str, Tensor]:
        """A copy of the final state dict on the CPU."""
        with self._at_work(), self._final() as model:
            return {
                name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, value in model.state_dict().items()
            }

    def judge(self, part: Part, spent: Fidelity) -> dict[str, Metric]:
        """The task's metrics of the final weights on a part of the data."""
        with self._at_work() as give_way, self._computing(), self._final() as model:
            return self.task.judge(model, self._judged(part, give_way), spent)

    def judge_as_it_is(self, part: Part, spent: Fidelity) -> dict[str, Metric]:
        """Those of weights that were final when they were loaded into the model."""
        self.model.eval()
        with self._at_work() as give_way, self._computing():
            return self.task.judge(self.model, self._judged(part, give_way), spent)

    def score(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Of each image its loss in nats, float64 (N,), and whether its class was found."""
        with self._at_work(), self._computing(), self._final() as model:
            return score(model, self.batches.ready(images), labels.to(self.device))

    def _judged(self, part: Part, give_way: Callable[[], None]) -> Iterator[Batch]:
        """Images and labels batch by batch; between two of them who measures has its turn."""
        for batch in self.batches.judged(part):
            yield batch
            give_way()

    def _at_work(self) -> AbstractContextManager[Callable[[], None]]:
        return at_work(self.device, self.processes)

    def _computing(self) -> AbstractContextManager[object]:
        return computing_in(self.recipe.precision, self.device)

    @contextmanager
    def _final(self) -> Iterator[nn.Module]:
        """The model in evaluation: averaged if it is, with statistics estimated anew."""
        with (
            nullcontext() if self.averaged is None else self.averaged.applied(),
            reestimated_batch_norm(self.model, self._norm_batches()) as model,
        ):
            yield model

    def _norm_batches(self) -> Iterator[Tensor]:
        # where every pixel is judged images are large: no more at once than a step takes
        size = min(_NORM_BATCH, self.recipe.batch_size) if self.dense else _NORM_BATCH
        return self.batches.plain(epoch_seed(self.seed, -1), size, _NORM_IMAGES)
