"""Which training comes next, and whether it still fits the budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from invsearch.bench.cifar10.plan import Training
from invsearch.bench.cifar10.study import Study

__all__ = ["Queue", "fit_epochs"]

_ATTEMPTS = 2
"""Of a training: again once, eagerly, where a graph or a process failed."""

_FITTED_SHARE = 0.93
"""Of what is left, that the fitted trainings may take: at the end processes run out one by one."""


class Queue:
    """The trainings that are left, given to whoever asks for one that still fits."""

    def __init__(self, study: Study, *, fail: Sequence[str] = ()) -> None:
        self._study, self._left = study, list(study.trainings)
        self._attempts: dict[Training, int] = {}
        self._eager: set[Training] = set()
        self._running: set[Training] = set()
        self._dying = set(fail)

    def take(self) -> Training | None:
        """The next training, or None when none is left that fits what is left of the budget."""
        study = self._study
        with study.lock:
            while self._left and not study.stopped:
                training = self._left.pop(0)
                need, have = self._estimate(training), study.deadline - time.monotonic()
                if need <= have:
                    self._attempts[training] = self._attempts.get(training, 0) + 1
                    self._running.add(training)
                    return training
                self._leave_out(training, f"takes about {need:.0f} s, {max(have, 0):.0f} s left")
            return None

    def request(self, training: Training, data: Path) -> dict[str, Any]:
        """What a process is asked for."""
        setting = self._study.setting
        if training in self._eager:
            setting = replace(setting, graphs=False)
        first = self._attempts[training] == 1
        return {
            "do": "train",
            "setting": setting.as_dict(),
            "training": asdict(training),
            "data": str(data),
            "die": first and training.name in self._dying,
        }

    def failed(self, training: Training, reason: str) -> None:
        """Try it again if it may be, without graphs the next time."""
        study = self._study
        with study.lock:
            self._running.discard(training)
            again = self._attempts[training] < _ATTEMPTS and not study.stopped
            study.note(f"{training.name} failed: {reason}{'; once more' if again else ''}")
            if again:
                self._eager.add(training)
                self._left.insert(0, training)
            else:
                self._mark(training, reason)

    def done(self, training: Training) -> None:
        """It came to its end."""
        self._running.discard(training)

    def cut(self, training: Training, reason: str) -> None:
        """It was ended before its end."""
        self._running.discard(training)
        self._study.note(f"{training.name} was cut short: {reason}")
        self._mark(training, reason)

    def _leave_out(self, training: Training, reason: str) -> None:
        self._study.note(f"{training.name} is left out: {reason}")
        self._mark(training, reason)
        for partner in self._partners(training):
            self._left.remove(partner)
            self._study.note(f"{partner.name} is left out with it: alone it compares with nothing")
            self._mark(partner, f"left out with {training.name}")

    def _partners(self, training: Training) -> list[Training]:
        """What is left of the same depth and seed."""
        return [t for t in self._left if (t.depth, t.seed) == (training.depth, training.seed)]

    def _mark(self, training: Training, reason: str) -> None:
        with self._study.lock:
            self._study.unfinished.setdefault(training.name, {})["reason"] = reason

    def _estimate(self, training: Training) -> float:
        """Seconds until it would be done, sharing the device evenly with those that run.

        With its partner, if that has still to begin: one without the other compares with nothing.
        """
        pair = [training, *self._partners(training)]
        work = sum(self._study.alone_seconds(one) for one in pair)
        shared = sum(min(work, self._remaining(one)) for one in self._running)
        return (work + shared) / self._speed()

    def _remaining(self, training: Training) -> float:
        """What a running training would take alone from here on."""
        whole = self._study.alone_seconds(training)
        curve = self._study.unfinished.get(training.name, {}).get("curve", ())
        return whole * (1 - len(curve) / self._study.setting.epochs)

    def _speed(self) -> float:
        """Seconds' worth of work alone that all processes do in a second, as seen so far."""
        study = self._study
        if not study.records or study.training_began is None:
            return study.guessed_speed
        done = sum(study.alone_seconds(_training(record)) for record in study.records)
        done += sum(study.alone_seconds(one) - self._remaining(one) for one in self._running)
        return max(0.3, done / (time.monotonic() - study.training_began))


def fit_epochs(study: Study, least: int) -> None:
    """Lower the number of epochs, so that every training fits what is left of the budget."""
    have = study.deadline - time.monotonic()
    for epochs in range(study.setting.epochs, least - 1, -1):
        alone = sum(study.alone_seconds(training, epochs) for training in study.trainings)
        need = alone / study.guessed_speed
        if need <= _FITTED_SHARE * have or epochs == least:
            break
    if epochs < study.setting.epochs:
        study.note(
            f"{epochs} epochs instead of {study.setting.epochs}: all trainings "
            f"take about {need:.0f} s, and {have:.0f} s are left"
        )
        study.setting = replace(study.setting, epochs=epochs)


def _training(record: dict[str, Any]) -> Training:
    return Training(record["family"], record["depth"], record["seed"])
