"""The loop around a trainer: checkpoints at the end of epochs and within, and who follows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.train.callbacks import Callback, EpochRecord, Plan
from invsearch.train.checkpoint import read_checkpoint, write_checkpoint
from invsearch.train.trainer import Trainer

__all__ = ["Loop"]

SAVED_EVERY_S = 60.0  # a kill costs a minute at most; writing RedNet-152 with two moments, a second
ASKED_EVERY = 16  # steps between questions to the first process, which make a GPU's queue run dry


@dataclass
class Loop:
    """Trains to the end, from the checkpoint if there is one.

    Args:
        trainer: What trains; at its beginning.
        checkpoint: Written after every epoch, and within one every minute. The caller removes it
            when all is kept.
        whose: Describes the training in its checkpoints.
        same: Whether what a checkpoint says describes this training; None for equal words.
        callbacks: Follow it, in the process that writes.
        judged: Whether each epoch is evaluated, for the curves.
        every_s: Seconds between checkpoints within an epoch.
        asked_every: Steps between looks at the clock, where several processes train.
    """

    trainer: Trainer
    checkpoint: Path
    whose: str
    callbacks: Sequence[Callback] = ()
    judged: bool = False
    same: Callable[[str], bool] | None = None
    every_s: float = SAVED_EVERY_S
    asked_every: int = ASKED_EVERY
    _spent_s: float = field(default=0.0, init=False)
    _begun: float = field(default=0.0, init=False)
    _saved: float = field(default=0.0, init=False)

    def run(self, name: str, config: Mapping[str, Any]) -> dict[str, Metric]:
        """Train.

        Args:
            name: Of what is trained, for the callbacks.
            config: What the callbacks are told of it.

        Returns:
            The metrics of the final weights.

        Raises:
            InputError: If the checkpoint is of another training.
            TrialError: If training diverges.
        """
        trainer = self.trainer
        self.resume()
        callbacks: Sequence[Callback] = ()
        if trainer.processes.first:
            callbacks = self.callbacks
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as closing:
            for callback in callbacks:
                closing.callback(callback.close)
                callback.on_start(self._plan(name, config))
            metrics: Mapping[str, Metric] = {}
            while not trainer.done:
                record = self._epoch(callbacks)
                metrics = record.metrics
                for callback in callbacks:
                    callback.on_epoch(record)
                self.save()  # after them: what a kill kept from being told is trained again
                for callback in callbacks:
                    callback.on_saved(record)
            final = dict(metrics) or trainer.evaluate()
            for callback in callbacks:
                callback.on_end(final)
        return final

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one; the first process reads it for all.

        Raises:
            InputError: If it is of another training.
        """
        trainer = self.trainer
        state = None
        if trainer.processes.first and self.checkpoint.is_file():
            state = read_checkpoint(self.checkpoint, trainer.device)
        state = trainer.processes.from_first(state)
        if state is None:
            return
        said = str(state.get("job"))
        if said != self.whose and not (self.same and self.same(said)):
            raise InputError(
                f"{self.checkpoint} is of another training: remove it, or choose another folder "
                "with -o"
            )
        trainer.load_state_dict(state["trainer"])
        self._spent_s = float(state.get("seconds", 0.0))

    def save(self) -> None:
        """Write a checkpoint; all processes call it at one step, and the first one writes."""
        state = self.trainer.state_dict()
        if self.trainer.processes.first:
            spent = self._spent_s + time.monotonic() - self._begun if self.trainer.step else 0.0
            whole = {"job": self.whose, "trainer": state, "seconds": spent}
            write_checkpoint(whole, self.checkpoint)
        self._saved = time.monotonic()

    def _plan(self, name: str, config: Mapping[str, Any]) -> Plan:
        trainer = self.trainer
        return Plan(
            name,
            self.checkpoint.parent,
            config,
            trainer.recipe.epochs,
            trainer.steps_per_epoch,
            trainer.images_per_step,
            trainer.epoch,
            trainer.step,
        )

    def _epoch(self, callbacks: Sequence[Callback]) -> EpochRecord:
        trainer = self.trainer
        self._begun = self._saved = time.monotonic()
        steps = trainer.steps_per_epoch - trainer.step

        def after_step() -> None:
            for callback in callbacks:
                callback.on_step(trainer.epoch + 1, trainer.step)
            if self._due():
                self.save()

        loss = trainer.train_epoch(after_step)
        for callback in callbacks:
            callback.on_step(trainer.epoch, trainer.steps_per_epoch)
        took = time.monotonic() - self._begun
        record = EpochRecord(
            epoch=trainer.epoch,
            step=trainer.epoch * trainer.steps_per_epoch,
            lr=trainer.recipe.learning_rate(
                trainer.epoch * trainer.steps_per_epoch - 1,
                trainer.recipe.epochs * trainer.steps_per_epoch,
            ),
            train_loss=loss,
            metrics=trainer.evaluate() if self.judged else {},
            seconds=self._spent_s + took,
            images_per_second=steps * trainer.images_per_step / max(took, 1e-9),
        )
        self._spent_s = 0.0
        return record

    def _due(self) -> bool:
        """Whether to save at this step: the first process's clock, asked now and then."""
        processes = self.trainer.processes
        late = time.monotonic() - self._saved >= self.every_s
        if processes.alone:
            return late
        if self.trainer.step % self.asked_every:
            return False
        return bool(processes.from_first(late))
