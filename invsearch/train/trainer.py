"""Trainer: one model trained epoch by epoch, to be stopped, saved and resumed at any step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from invsearch.data import ImageData
from invsearch.errors import InputError, TrialError
from invsearch.metrics import KNOWN_METRICS, Fidelity, Metric
from invsearch.train.at_work import at_work
from invsearch.train.averaged import Averaged
from invsearch.train.batches import batches_of
from invsearch.train.checkpoint import read_checkpoint, write_checkpoint
from invsearch.train.divergence import DivergedError, explained, first_not_finite
from invsearch.train.epoch_underway import EpochUnderway
from invsearch.train.graphed_step import GraphedStep
from invsearch.train.judge import Judge
from invsearch.train.losses import Losses
from invsearch.train.precision import computing_in
from invsearch.train.processes import ALONE, Processes
from invsearch.train.recipe import Recipe
from invsearch.train.seeding import epoch_seed, isolated_rng, process_seed, rng_state
from invsearch.train.step import Step
from invsearch.train.synced_norm import synchronised
from invsearch.train.tasks import LearningTask, task_of

__all__ = ["Trainer"]


class Trainer:
    """Trains a network; equal seeds on one machine with equal threads give equal weights.

    The model and its batches are in the channels-last memory format: up to twice as fast, on a CPU
    too. Where images come from is :mod:`invsearch.train.batches`'s, what is learned the task's; on
    a GPU no step waits for the one before it.

    Args:
        model: Images (B, C, H, W) -> logits (B, classes), or (B, classes, H, W) where the data
            set has masks; trained in place. Build it with :func:`seeded_build`.
        data: Images and labels.
        recipe: How to train.
        seed: Of the order, augmentation and dropout. The process's own generators stay untouched.
        device: Where to train.
        width: The trained network's width as a fraction of the searched one's, for the fidelity.
        graphs: Whether to replay each step as a CUDA graph: faster where the network is so small
            that the GPU waits for Python.
        task: What is learned: the loss and the metrics; None for what the data set's labels say.
        processes: Those that train it together, each a share of every batch. Each of them then does
            all that this one does, evaluations too; batch norm sees the whole batch.

    Attributes:
        epoch: Epochs trained so far.
        step: Steps taken of the epoch that is under way; 0 between epochs.

    Raises:
        CaptureError: If such a training cannot be captured in a graph.
    """

    def __init__(
        self,
        model: nn.Module,
        data: ImageData,
        recipe: Recipe,
        seed: int = 0,
        device: str | torch.device = "cpu",
        *,
        width: float = 1.0,
        graphs: bool = False,
        task: LearningTask | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.device, self.processes = torch.device(device), processes
        if not processes.alone:
            model = synchronised(model, self.device)
        self.model = model.to(self.device)
        convert_conv2d_weight_memory_format(self.model, torch.channels_last)
        self.data, self.recipe, self.seed, self.width = data, recipe, seed, width
        processes.check_batch(self.images_per_step)
        self.task, self.epoch, self.step = task or task_of(data), 0, 0
        self._batches = batches_of(data, recipe, self.device, processes.share)
        shared = processes.wrapped(self.task.form(self.model), self.device)
        self._step = Step(self.model, recipe, self.device, self.task, shared)
        self._graphed = GraphedStep(self._step) if graphs else None
        self._averaged = Averaged(self.model, recipe.ema) if recipe.ema else None
        self._judge = Judge(
            model=self.model,
            averaged=self._averaged,
            batches=self._batches,
            task=self.task,
            recipe=recipe,
            seed=seed,
            device=self.device,
            dense=data.dense,
            processes=processes,
        )
        self._underway: EpochUnderway | None = None

    @property
    def done(self) -> bool:
        """Whether every epoch of the recipe is trained."""
        return self.epoch >= self.recipe.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch: its whole batches."""
        return self._batches.steps_per_epoch

    @property
    def images_per_step(self) -> int:
        """Images of a step, of all processes together."""
        return min(self.recipe.batch_size, len(self.data.train_labels))

    @property
    def fidelity(self) -> Fidelity:
        """What has been spent so far."""
        return Fidelity(
            epochs=self.epoch,
            max_epochs=self.recipe.epochs,
            resolution=self.data.resolution,
            width=self.width,
            data_fraction=self.data.data_fraction,
            dataset=self.data.name,
            precision=self.recipe.precision,
        )

    def weights(self) -> dict[str, Tensor]:
        """A copy of the state dict on the CPU, batch-norm statistics estimated anew.

        Of the average of the weights where the recipe has one (``ema``).
        """
        return self._judge.weights()

    def train_epoch(self, after_step: Callable[[], object] | None = None) -> float:
        """Train the next epoch, or the rest of the one that is under way.

        Args:
            after_step: Called after each step but the last; it may save the trainer, or raise.

        Returns:
            The mean training loss of its steps, in nats.

        Raises:
            TrialError: If the training loss or its gradient is not finite, with the epoch, the step
                (from 1), the first layer that is to blame and the remedy. On a GPU some further
                steps are taken before it is seen; none of them changes a weight.
            CaptureError: If a step cannot be captured in a graph.
            RuntimeError: If every epoch is trained.
        """
        if self.done:
            raise RuntimeError(f"all {self.recipe.epochs} epochs of the recipe are trained")
        seed = epoch_seed(self.seed, self.epoch)
        with at_work(self.device, self.processes) as give_way:
            self.processes.from_first(None)  # nobody begins before every device is theirs
            self.model.train()
            with isolated_rng(process_seed(seed, self.processes.share.rank), self.device):
                try:
                    mean = self._train_rest(seed, after_step or (lambda: None), give_way)
                except DivergedError as error:
                    raise self._explained(error, seed) from error
            self.epoch, self.step, self._underway = self.epoch + 1, 0, None
            return self.processes.mean(mean)

    def evaluate(self) -> dict[str, Metric]:
        """Measure the task's metrics, such as ``val_loss`` and ``top1``, on the validation set.

        Batch-norm statistics are estimated anew first, from up to 1,280 training images and on the
        side: training goes on as if nothing had been evaluated. With 1,297 training and 500
        validation images an evaluation costs a third of an epoch.

        Returns:
            The metrics with 95 % intervals over the validation images (not over seeds) and the
            fidelity. Early on, a validation loss that is not finite is no failure and is left out.

        Raises:
            TrialError: If the validation loss is not finite after the last epoch.
        """
        metrics = self._judge.judge("val", self.fidelity)
        if self.done and "val_loss" not in metrics:
            raise TrialError(f"validation loss is not finite after the last epoch ({self.epoch})")
        return metrics

    def test(self, weights: Mapping[str, Tensor]) -> dict[str, Metric]:
        """Measure ``test_loss``, ``test_error``, ... of weights, on the test set.

        Args:
            weights: What :meth:`weights` returned when every epoch was trained; the model's own are
                lost.
        """
        self.model.load_state_dict(weights)
        spent = replace(self.fidelity, epochs=self.recipe.epochs)
        found = self._judge.judge_as_it_is("test", spent)
        named = {KNOWN_METRICS[name].test: metric for name, metric in found.items()}
        return {name: replace(metric, name=name) for name, metric in named.items()}

    def score(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Judge images one by one, with statistics as in :meth:`evaluate`.

        Args:
            images: (N, C, H, W), pixels or normalised as the data set's own.
            labels: int64 (N,).

        Returns:
            Each image's loss in nats, float64 (N,), and whether its class was found, bool (N,).
        """
        return self._judge.score(images, labels)

    def state_dict(self) -> dict[str, Any]:
        """Return all that resuming needs, wherever in an epoch; a step of all processes.

        The order and the augmentation to come follow from seed and epoch; dropout's generators are
        noted as they stand.
        """
        state: dict[str, Any] = {
            "recipe": dict(vars(self.recipe)),
            "seed": self.seed,
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self._step.optimizer.state_dict(),
            "images": dict(vars(self._batches.origin)),
        }
        if self._step.scaler is not None:
            state["scaler"] = self._step.scaler.state_dict()
        if self._averaged is not None:
            state["ema"] = self._averaged.state_dict()
        if self._underway is not None:
            own = self._underway.state_dict(self.device)
            state["underway"] = {"step": self.step, "processes": self.processes.gathered(own)}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state: bit for bit as the training that it was taken from.

        Raises:
            InputError: If the state is of another recipe, seed or model.
        """
        mine = {"recipe": dict(vars(self.recipe)), "seed": self.seed}
        its = {"recipe": Recipe.completed(state.get("recipe")), "seed": state.get("seed")}
        for name, value in mine.items():
            if its[name] != value:
                raise InputError(f"checkpoint has {name} {its[name]}, this trial {value}")
        self._batches.origin.check(state.get("images", {}))
        try:
            self.model.load_state_dict(state["model"])
            self._step.optimizer.load_state_dict(state["optimizer"])
            if self._step.scaler is not None:
                self._step.scaler.load_state_dict(state["scaler"])
            if self._averaged is not None:
                self._averaged.load_state_dict(state["ema"])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"checkpoint does not fit the model: {reason}") from error
        self._step.reset()
        if self._graphed is not None:
            self._graphed.reset()
        self.epoch, self.step, self._underway = int(state["epoch"]), 0, None
        if "underway" in state:
            self._go_on(state["underway"])

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, atomically."""
        write_checkpoint(self.state_dict(), Path(path))

    def load(self, path: str | Path) -> None:
        """Continue from a checkpoint.

        Raises:
            InputError: If it is missing, damaged or of another training.
        """
        self.load_state_dict(read_checkpoint(Path(path), self.device))

    def _train_rest(
        self, seed: int, after_step: Callable[[], object], give_way: Callable[[], None]
    ) -> float:
        """Take the steps of an epoch that are left; torch's generators are seeded for it."""
        underway = self._underway or EpochUnderway(self._losses())
        underway.set_rng(self.device)
        self._underway = underway
        take, first = self._graphed or self._step, self.epoch * self.steps_per_epoch
        for images, targets in self._batches.epoch(seed, self.step):
            loss = take(images, targets, self.rate)
            underway.losses.add(loss, take.norm)
            if self._averaged is not None:
                self._averaged.update(first + self.step)
            self.step += 1
            give_way()
            if self.step < self.steps_per_epoch:
                self._between(after_step, underway)
        return underway.losses.mean()

    def _go_on(self, state: Mapping[str, Any]) -> None:
        """Go on within an epoch, in as many processes as it was left in.

        Raises:
            InputError: If their number is another.
        """
        every, (rank, world) = state["processes"], vars(self.processes.share).values()
        if len(every) != world:
            raise InputError(
                f"checkpoint was written within an epoch by {len(every)} processes, and here are "
                f"{world}: start as many, or go on from the end of an epoch"
            )
        self.step = int(state["step"])
        self._underway = EpochUnderway(self._losses(every[rank]["losses"]), every[rank]["rng"])

    def _between(self, call: Callable[[], object], underway: EpochUnderway) -> None:
        try:
            call()
        except BaseException:  # whoever stops a training here may go on with it
            underway.rng = rng_state(self.device)
            raise

    def _losses(self, state: Mapping[str, float] | None = None) -> Losses:
        scaled = self._step.scaler is not None
        return Losses(self.epoch + 1, self.device, state, scaled=scaled)

    def _explained(self, error: DivergedError, seed: int) -> DivergedError:
        """The error with the layer that is to blame, found by sending the batch through again."""
        if not self.processes.alone:  # a layer of all processes waits for the others
            return explained(error, "", self.recipe)
        images, targets = next(iter(self._batches.epoch(seed, error.step - 1)))
        with computing_in(self.recipe.precision, self.device):
            where = first_not_finite(
                self.model,
                images,
                lambda outputs: self._step.loss_of(outputs, targets),
                self._step.form,
            )
        return explained(error, where, self.recipe)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        step, steps = self.step, self.steps_per_epoch
        return self.recipe.learning_rate(self.epoch * steps + step, self.recipe.epochs * steps)
