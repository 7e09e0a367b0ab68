"""A training that is killed anywhere, by SIGKILL, and started again is the undisturbed one."""

from __future__ import annotations

import copy
import csv
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trained_apart
from torch import Tensor

from invsearch.data import ImageData, load_dataset
from invsearch.errors import InputError
from invsearch.train import Recipe, Trainer, seeded_build

HERE = Path(__file__).parent
STEPS = 8  # of an epoch: 259 images by 32


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digits", data_fraction=0.2)


def started(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trained_apart", str(folder)],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), "."])},
        stdout=subprocess.PIPE,
        text=True,
    )


def steps_until(process: subprocess.Popen[str], count: int) -> int:
    """Read that many steps and kill the process, somewhere in the step after them."""
    assert process.stdout is not None
    seen = 0
    for _ in process.stdout:
        seen += 1
        if seen == count:
            process.kill()
            break
    process.stdout.close()
    process.wait()
    return seen


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_killed_at_random_it_ends_with_the_same_weights_and_curves(tmp_path: Path) -> None:
    """Order, augmentation, dropout, momentum, the average of the weights: all go on."""
    trained_apart.main(tmp_path / "whole")
    random_places = random.Random(7)
    for _ in range(2):
        steps_until(started(tmp_path / "killed"), random_places.randint(1, 6))
    process = started(tmp_path / "killed")
    assert steps_until(process, 1000) < 3 * STEPS, "nothing was gone on with"
    assert process.returncode == 0
    whole, killed = (torch.load(tmp_path / name / "weights.pt") for name in ("whole", "killed"))
    assert same(whole, killed)
    timeless = []
    for name in ("whole", "killed"):
        with (tmp_path / name / "curves.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]
        timeless.append([{k: v for k, v in r.items() if "second" not in k} for r in rows])
    assert timeless[0] == timeless[1]
    assert set(timeless[0][0]) == {"epoch", "step", "lr", "train_loss", "error", "top1", "val_loss"}


class StopError(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("at", [1, 5])
def test_it_goes_on_within_an_epoch_from_any_step(
    data: ImageData, tmp_path: Path, optimizer: str, at: int
) -> None:
    recipe = replace(trained_apart.RECIPE, epochs=2, optimizer=optimizer)
    whole = Trainer(seeded_build(trained_apart.net, 0), data, recipe, 0)
    losses = [whole.train_epoch(), whole.train_epoch()]
    part = Trainer(seeded_build(trained_apart.net, 0), data, recipe, 0)
    part.train_epoch()

    def stop() -> None:
        if part.step == at:
            raise StopError

    with pytest.raises(StopError):
        part.train_epoch(stop)
    part.save(tmp_path / "last.pt")
    resumed = Trainer(seeded_build(trained_apart.net, 9), data, recipe, 0)
    resumed.load(tmp_path / "last.pt")
    assert (resumed.epoch, resumed.step) == (1, at)
    assert resumed.train_epoch() == losses[1] == part.train_epoch()
    assert same(whole.weights(), resumed.weights())
    assert same(whole.model.state_dict(), part.model.state_dict())


def test_a_checkpoint_of_a_version_before_goes_on(data: ImageData) -> None:
    """It knows neither of the new settings, nor of a place within an epoch, nor of the images."""
    recipe = Recipe(epochs=2, batch_size=32)
    whole = Trainer(seeded_build(trained_apart.net, 0), data, recipe, 0)
    whole.train_epoch()
    state = copy.deepcopy(whole.state_dict())
    new = ("accumulate", "ema", "norm_decay", "bias_decay", "decay", "warmup_from")
    state["recipe"] = {name: one for name, one in state["recipe"].items() if name not in new}
    del state["images"]
    assert set(state) == {"recipe", "seed", "epoch", "model", "optimizer"}
    resumed = Trainer(seeded_build(trained_apart.net, 9), data, recipe, 0)
    resumed.load_state_dict(state)
    resumed.train_epoch()
    whole.train_epoch()
    assert same(whole.weights(), resumed.weights())


def test_within_an_epoch_the_processes_must_be_as_many(data: ImageData) -> None:
    trainer = Trainer(seeded_build(trained_apart.net, 0), data, trained_apart.RECIPE, 0)
    states: list[dict[str, object]] = []
    trainer.train_epoch(lambda: states.append(trainer.state_dict()))
    underway = states[0]["underway"]
    assert isinstance(underway, dict)
    underway["processes"] *= 2
    with pytest.raises(InputError, match="by 2 processes, and here are 1"):
        trainer.load_state_dict(states[0])
