"""A real training that goes on until it is stopped, and writes down when each step began and ended.

As a program: ``training_beside.py LOG STOP``; it ends when the file STOP is there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from invsearch.data import load_dataset
from invsearch.train import Recipe, Trainer

Span = tuple[float, float]

_AT_MOST_S = 120.0  # if nobody stops it


def train(log: Path, stop: Path) -> None:
    """Train and evaluate on digits, epoch by epoch, on the CPU."""
    torch.set_num_threads(1)
    model, began = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), [0.0]
    until = time.monotonic() + _AT_MOST_S
    with log.open("a", buffering=1) as file:

        def begin(*_: object) -> None:
            began[0] = time.time()

        def end(*_: object) -> None:
            print(json.dumps([began[0], time.time()]), file=file)

        def judged(module: nn.Module, *_: object) -> None:
            if not module.training:
                end()

        model.register_forward_pre_hook(begin)
        model.register_forward_hook(judged)
        hook = register_optimizer_step_post_hook(end)
        data = load_dataset("digits", data_fraction=0.5)
        trainer = Trainer(model, data, Recipe(epochs=1_000_000, batch_size=16))
        while not stop.exists() and time.monotonic() < until:
            trainer.train_epoch()
            trainer.evaluate()
        hook.remove()


def steps(log: Path) -> list[Span]:
    """When each step, and each batch that was judged, began and ended; in seconds since 1970."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [tuple(json.loads(line)) for line in lines if line.endswith("]")]


def wait_for_steps(log: Path, count: int) -> None:
    """Wait until so many more were taken."""
    wanted, until = len(steps(log)) + count, time.monotonic() + 100
    while len(steps(log)) < wanted:
        assert time.monotonic() < until, "the training does not go on"
        time.sleep(0.02)


def sampled(detail: Mapping[str, Any]) -> Span:
    """From before the first sample of a measurement to the end of the last."""
    began, ended = (datetime.fromisoformat(detail[key]) for key in ("began", "ended"))
    return began.timestamp(), ended.timestamp()


def overlaps(some: Sequence[Span], others: Sequence[Span]) -> list[tuple[Span, Span]]:
    return [(a, b) for a in some for b in others if a[0] < b[1] and b[0] < a[1]]


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))
