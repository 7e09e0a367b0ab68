"""The progress of a training: a bar where the terminal moves, lines alone elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from invsearch.metrics import Metric
from invsearch.train.callbacks import EpochRecord, Plan, ProgressView

PLAN = Plan("small", Path(), {}, epochs=2, steps_per_epoch=3, images_per_step=8, epoch=1, step=1)
RECORD = EpochRecord(2, 6, 0.1, 0.5, {"top1": Metric("top1", 90.0, "trained")}, 1.5, 1234.0)


@pytest.mark.parametrize("moves", [True, False])
def test_it_shows_where_a_training_goes_on(moves: bool) -> None:
    output, told = io.StringIO(), []
    console = Console(file=output, force_terminal=moves, width=100, _environ={"TERM": "xterm"})
    view = ProgressView(console, told.append, "the recipe")
    view.on_start(PLAN)
    for step in (2, 3):
        view.on_step(2, step)
    view.on_epoch(RECORD)
    assert told == ["the recipe"], "what is not saved yet is not told"
    view.on_saved(RECORD)
    view.close()
    assert told[1:] == ["epoch 2 of 2, training loss 0.5, top1 90, 1,234 images/s"]
    shown = output.getvalue()
    assert ("6/6" in shown) == moves
    assert bool(shown) == moves
