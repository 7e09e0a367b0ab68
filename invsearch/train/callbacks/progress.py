"""ProgressView: a bar with the time left, and a line an epoch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from invsearch.train.callbacks.callback import Callback, EpochRecord, Plan

__all__ = ["ProgressView"]


class ProgressView(Callback):
    """Shows how far a training is; where the output is no terminal that moves, lines alone.

    Nothing that happens here ends a training.

    Args:
        console: Where the bar moves; None for no bar.
        tell: Takes a line at the start, and one after every epoch.
        words: The first line.
    """

    def __init__(self, console: Console | None, tell: Callable[[str], None], words: str) -> None:
        moves = console is not None and console.is_terminal and not console.is_dumb_terminal
        self._console, self._tell, self._words = console if moves else None, tell, words
        self._bar: Progress | None = None
        self._images, self._speed = 0, ""

    def on_start(self, plan: Plan) -> None:
        self._plan = plan
        self._tell(self._words)
        if self._console is not None:
            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            done = plan.epoch * plan.steps_per_epoch + plan.step
            total = plan.epochs * plan.steps_per_epoch
            self._task = self._bar.add_task(
                "", total=total, completed=done, epoch=plan.epoch + 1, speed=""
            )
            with suppress(Exception):
                self._bar.start()

    def on_step(self, epoch: int, step: int) -> None:
        if self._bar is None:
            return
        with suppress(Exception):
            done = (epoch - 1) * self._plan.steps_per_epoch + step
            speed = self._bar.tasks[0].speed or 0.0
            images = f"{speed * self._plan.images_per_step:,.0f} images/s" if speed else ""
            self._bar.update(self._task, completed=done, epoch=epoch, speed=images)

    def on_saved(self, record: EpochRecord) -> None:
        judged = [
            f"{name} {record.metrics[name].value:.4g}"
            for name in ("val_loss", "top1", "miou")
            if name in record.metrics
        ]
        loss = f"training loss {record.train_loss:.4g}"
        speed = f"{record.images_per_second:,.0f} images/s"
        words = ", ".join([loss, *judged, speed])
        self._tell(f"epoch {record.epoch} of {self._plan.epochs}, {words}")

    def close(self) -> None:
        if self._bar is not None:
            with suppress(Exception):
                self._bar.stop()
