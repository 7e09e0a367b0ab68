"""A small training in a process of its own, to be killed: ``python -m trained_apart FOLDER``.

It writes ``FOLDER/weights.pt`` when it is done. With ``torchrun`` each process takes its share;
``python -m trained_apart FOLDER shared`` leaves out what each of them draws for itself.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from invsearch.data import load_dataset
from invsearch.train import Recipe, Trainer, seeded_build
from invsearch.train.callbacks import Callback, Curves
from invsearch.train.loop import Loop
from invsearch.train.processes import ALONE, Processes, joined

RECIPE = Recipe(
    epochs=3, batch_size=32, optimizer="sgd", lr=0.05, augment=True, cutout=0.2, ema=0.9,
    accumulate=2,
)  # fmt: skip


SHARED = replace(RECIPE, augment=False, cutout=0.0, accumulate=1)


def net(dropout: float = 0.1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def say(*words: object) -> None:
    """Print a line in one write: torchrun's Python (``-u``) writes each word alone, and two mix."""
    print(" ".join(map(str, words)) + "\n", end="", flush=True)


class Told(Callback):
    """Says each step, so that whoever kills this process knows where it is."""

    def on_step(self, epoch: int, step: int) -> None:
        say(epoch, step)


def shared_trainer(processes: Processes = ALONE) -> Trainer:
    """What two processes train as one does."""
    data = load_dataset("digits", data_fraction=0.2)
    return Trainer(seeded_build(lambda: net(0.0), 0), data, SHARED, 0, processes=processes)


def main(folder: Path, *, shared: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = load_dataset("digits", data_fraction=0.2)
    with joined("cpu") as processes:
        if shared:
            say("process", processes.share.rank, os.getpid())
            trainer = shared_trainer(processes)
        else:
            trainer = Trainer(seeded_build(net, 0), data, RECIPE, 0)
        callbacks = (Told(), Curves())
        often: dict[str, Any] = {"every_s": 0.0, "asked_every": 2}
        loop = Loop(trainer, folder / "checkpoint.pt", "ours", callbacks, judged=True, **often)
        loop.run("small", {})
        if processes.first:
            torch.save(trainer.weights(), folder / "weights.pt")
        else:
            trainer.weights()


if __name__ == "__main__":
    main(Path(sys.argv[1]), shared=sys.argv[2:] == ["shared"])
