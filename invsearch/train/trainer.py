"""Trainer: one model trained one epoch at a time, to be stopped, saved and resumed in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from invsearch.data import ImageData
from invsearch.errors import InputError, TrialError
from invsearch.metrics import KNOWN_METRICS, Fidelity, Metric
from invsearch.train.augment import augment, cut_out
from invsearch.train.batch_norm import reestimated_batch_norm
from invsearch.train.checkpoint import read_checkpoint, write_checkpoint
from invsearch.train.evaluate import accuracy_metrics, score
from invsearch.train.graphed_step import GraphedStep
from invsearch.train.losses import Losses
from invsearch.train.precision import computing_in
from invsearch.train.recipe import Recipe
from invsearch.train.seeding import epoch_seed, isolated_rng
from invsearch.train.step import Step

__all__ = ["Trainer"]

_NORM_BATCH = 128  # images a batch norm's statistics are taken over at once
_NORM_IMAGES = 10 * _NORM_BATCH  # at most: a third of the time of an epoch on digits


class Trainer:
    """Trains a classifier; equal seeds on one machine with equal threads give equal weights.

    The model and its batches are in the channels-last memory format: up to twice as fast, on a CPU
    too. The data set is kept on the device as it comes, in uint8 if it is pixels, and normalised
    and augmented there batch by batch; on a GPU no step waits for the one before it.

    Args:
        model: Images (B, C, H, W) -> logits (B, classes); trained in place. Build it with
            :func:`seeded_build`.
        data: Images and labels.
        recipe: How to train.
        seed: Of the order, augmentation and dropout. The process's own generators stay untouched.
        device: Where to train.
        width: The trained network's width as a fraction of the searched one's, for the fidelity.
        graphs: Whether to replay each step as a CUDA graph: faster where the network is so small
            that the GPU waits for Python.

    Attributes:
        epoch: Epochs trained so far.

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
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device)
        convert_conv2d_weight_memory_format(self.model, torch.channels_last)
        self.data, self.recipe, self.seed, self.width = data, recipe, seed, width
        self.epoch = 0
        self._images = data.train_images.to(self.device)
        self._labels = data.train_labels.to(self.device)
        self._scale = data.scale and data.scale.to(self.device)
        self._step = Step(self.model, recipe, self.device)
        self._graphed = GraphedStep(self._step) if graphs else None
        self._batch_size = min(recipe.batch_size, len(self._labels))

    @property
    def done(self) -> bool:
        """Whether every epoch of the recipe is trained."""
        return self.epoch >= self.recipe.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch: its whole batches."""
        return len(self._labels) // self._batch_size

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
        """A copy of the state dict on the CPU, batch-norm statistics estimated anew."""
        with reestimated_batch_norm(self.model, self._norm_batches()) as model:
            return {
                name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, value in model.state_dict().items()
            }

    def train_epoch(self) -> float:
        """Train the next epoch.

        Returns:
            The mean training loss of its steps, in nats.

        Raises:
            TrialError: If the training loss is not finite, with the epoch and the step, from 1. On
                a GPU some further steps are taken before it is seen.
            CaptureError: If a step cannot be captured in a graph.
            RuntimeError: If every epoch is trained.
        """
        if self.done:
            raise RuntimeError(f"all {self.recipe.epochs} epochs of the recipe are trained")
        seed = epoch_seed(self.seed, self.epoch)
        self.model.train()
        losses, take = Losses(self.epoch + 1, self.device), self._graphed or self._step
        with isolated_rng(seed, self.device):
            for step, (images, labels) in enumerate(self._batches(seed)):
                losses.add(take(images, labels, self._rate(step)))
        mean = losses.mean()
        self.epoch += 1
        return mean

    def evaluate(self) -> dict[str, Metric]:
        """Measure ``val_loss`` (nats), ``error`` and ``top1`` (percent) on the validation set.

        Batch-norm statistics are estimated anew first, from up to 1,280 training images and on the
        side: training goes on as if nothing had been evaluated. With 1,297 training and 500
        validation images an evaluation costs a third of an epoch.

        Returns:
            The metrics with 95 % intervals over the validation images (not over seeds) and the
            fidelity. Early on, a validation loss that is not finite is no failure and is left out.

        Raises:
            TrialError: If the validation loss is not finite after the last epoch.
        """
        with self._evaluating() as model:
            metrics = accuracy_metrics(
                model,
                self._normalised(self.data.val_images.to(self.device)),
                self.data.val_labels.to(self.device),
                fidelity=self.fidelity,
            )
        if self.done and "val_loss" not in metrics:
            raise TrialError(f"validation loss is not finite after the last epoch ({self.epoch})")
        return metrics

    def test(self, weights: Mapping[str, Tensor]) -> dict[str, Metric]:
        """Measure ``test_loss``, ``test_error`` and ``test_top1`` of weights, on the test set.

        Args:
            weights: What :meth:`weights` returned when every epoch was trained; the model's own are
                lost.
        """
        self.model.load_state_dict(weights)
        self.model.eval()
        images = self._normalised(self.data.test_images.to(self.device))
        spent = replace(self.fidelity, epochs=self.recipe.epochs)
        with computing_in(self.recipe.precision, self.device):
            found = accuracy_metrics(
                self.model, images, self.data.test_labels.to(self.device), fidelity=spent
            )
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
        with self._evaluating() as model:
            normalised = self._normalised(images.to(self.device))
            return score(model, normalised, labels.to(self.device))

    def state_dict(self) -> dict[str, Any]:
        """Return all that resuming needs; the randomness to come follows from seed and epoch."""
        state = {
            "recipe": dict(vars(self.recipe)),
            "seed": self.seed,
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self._step.optimizer.state_dict(),
        }
        if self._step.scaler is not None:
            state["scaler"] = self._step.scaler.state_dict()
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
        try:
            self.model.load_state_dict(state["model"])
            self._step.optimizer.load_state_dict(state["optimizer"])
            if self._step.scaler is not None:
                self._step.scaler.load_state_dict(state["scaler"])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"checkpoint does not fit the model: {reason}") from error
        if self._graphed is not None:
            self._graphed.reset()
        self.epoch = int(state["epoch"])

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, atomically."""
        write_checkpoint(self.state_dict(), Path(path))

    def load(self, path: str | Path) -> None:
        """Continue from a checkpoint.

        Raises:
            InputError: If it is missing, damaged or of another training.
        """
        self.load_state_dict(read_checkpoint(Path(path), self.device))

    def _batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self._labels), generator=generator).to(self.device)
        if self.device.type != "cpu":  # draws on the CPU would have to be sent at every step
            generator = torch.Generator(self.device).manual_seed(seed)
        for step in range(self.steps_per_epoch):
            rows = order[step * self._batch_size : (step + 1) * self._batch_size]
            images = self._normalised(self._images[rows])
            if self.recipe.augment:
                images = augment(images, generator, mirrors=self.data.mirrors)
            if self.recipe.cutout:
                images = cut_out(images, generator, share=self.recipe.cutout)
            yield _channels_last(images), self._labels[rows]

    def _rate(self, step: int) -> float:
        """The learning rate of a step of the next epoch."""
        steps = self.steps_per_epoch
        return self.recipe.learning_rate(self.epoch * steps + step, self.recipe.epochs * steps)

    @contextmanager
    def _evaluating(self) -> Iterator[nn.Module]:
        """The model with statistics estimated anew, in evaluation and in the recipe's precision."""
        with (
            computing_in(self.recipe.precision, self.device),
            reestimated_batch_norm(self.model, self._norm_batches()) as model,
        ):
            yield model

    def _norm_batches(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, -1))
        order = torch.randperm(len(self._labels), generator=generator).to(self.device)
        batch = min(_NORM_BATCH, len(order))
        for start in range(0, min(len(order), _NORM_IMAGES) - batch + 1, batch):
            yield self._normalised(self._images[order[start : start + batch]])

    def _normalised(self, images: Tensor) -> Tensor:
        return _channels_last(images if self._scale is None else self._scale(images))


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
