"""The trainings of a study, several at a time, each in a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invsearch.bench.cifar10.plan import Training
from invsearch.bench.cifar10.process import LateError, WorkerProcess
from invsearch.bench.cifar10.queue import Queue
from invsearch.bench.cifar10.study import Study
from invsearch.errors import TrialError

__all__ = ["train_all"]


def train_all(
    study: Study, crew: Sequence[WorkerProcess], data: Path, *, fail: Sequence[str] = ()
) -> None:
    """Train what fits the budget, by these processes."""
    trainings = Queue(study, fail=fail)
    study.training_began = time.monotonic()
    threads = [
        threading.Thread(target=_work, args=(study, trainings, worker, data), daemon=True)
        for worker in crew
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a join without end would not let a signal through
            thread.join(0.5)
    study.complete = len(study.records) == len(study.trainings)


def _work(study: Study, trainings: Queue, worker: WorkerProcess, data: Path) -> None:
    """What one thread does: give a process trainings, and replace it when it dies."""
    try:
        while (training := trainings.take()) is not None:
            if not worker.alive:
                worker = WorkerProcess()
            study.say(f"{training.name} begins")
            try:
                _train(study, trainings, training, worker, data)
            except LateError as error:
                trainings.cut(training, str(error))
            except TrialError as error:
                worker.end()
                trainings.failed(training, str(error))
    except Exception as error:
        study.note(f"a thread failed: {type(error).__name__}: {error}")
    finally:
        worker.end()


def _train(
    study: Study, trainings: Queue, training: Training, worker: WorkerProcess, data: Path
) -> None:
    def heard(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            with study.lock:
                so_far = study.unfinished.setdefault(training.name, {"curve": []})
                so_far.setdefault("curve", []).append(event)
            if "val_top1" in event:
                study.say(f"{training.name}, epoch {event['epoch']}: {event['val_top1']:.2f} %")

    with study.lock:
        study.unfinished.pop(training.name, None)
    last = worker.ask(trainings.request(training, data), study.deadline, heard)
    if last["event"] == "failed":
        raise TrialError(last["reason"])
    with study.lock:
        trainings.done(training)
        study.records.append(last["record"])
        study.unfinished.pop(training.name, None)
        study.save()
    test, seconds = last["record"]["test"], last["record"]["seconds"]
    study.say(f"{training.name}: test error {test['error']:.2f} % after {seconds:.0f} s")
