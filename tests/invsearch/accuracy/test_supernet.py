"""The supernet of a space: trained once, resumed after a kill, and honest about what it knows."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from invsearch.accuracy.supernet import Supernet
from invsearch.errors import InputError
from invsearch.problem import problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.space import load_space_file
from invsearch.train import read_weights

TINY = [
    "space.width={choice: [0.25, 0.5]}",
    "accuracy.epochs=2",
    "accuracy.data_fraction=0.2",
    "accuracy.supernet.epochs=2",
]


KILLED = """
from pathlib import Path
from invsearch.problem import problem_of
from invsearch.space import load_space_file

found = problem_of(load_space_file("quick", {overrides!r}))
found.trained.supernet(Path({folder!r})).train(every_s=0)
"""


def problem(*more: str) -> NetworkProblem:
    found = problem_of(load_space_file("quick", [*TINY, *more]))
    assert isinstance(found, NetworkProblem)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    found = problem().trained.supernet(tmp_path_factory.mktemp("supernet"))
    found.train()
    return found


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_weights(folder / "weights.safetensors")


def test_sigkill_within_an_epoch_changes_not_a_bit(trained: Supernet, tmp_path: Path) -> None:
    """A process is killed once it has written a checkpoint at a step; another one goes on."""
    checkpoint = tmp_path / "checkpoint.pt"
    code = KILLED.format(folder=str(tmp_path), overrides=TINY)
    child = subprocess.Popen([sys.executable, "-c", code])
    while not checkpoint.exists():
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    again = problem().trained.supernet(tmp_path)
    assert not again.trained
    again.train()
    wanted, found = weights(trained._folder), weights(tmp_path)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert not checkpoint.exists()
    assert again.cpu_seconds > 0


def test_what_it_says_is_of_source_supernet_and_the_same_again(trained: Supernet) -> None:
    space = problem().space
    architecture = space.sample(random.Random(3))
    found = trained.metrics(architecture)
    assert {"error", "val_loss"} <= set(found)
    assert {metric.source for metric in found.values()} == {"supernet"}
    fidelity = found["error"].fidelity
    assert fidelity is not None
    assert fidelity.epochs == 2
    again = problem().trained.supernet(trained._folder)
    again.train()  # nothing happens: it is trained
    assert again.metrics(architecture) == found


def test_it_is_always_augmented_and_takes_six_networks_epochs() -> None:
    section = problem("accuracy.supernet.epochs=null").trained
    recipe = section.supernet(Path("nowhere")).recipe
    assert recipe.augment
    assert recipe.epochs == 12
    cut = problem("accuracy.cutout=0.2").trained.supernet(Path("nowhere")).recipe
    assert cut.strengths() == {"cutout": 0.2}


def test_the_folder_of_another_space_is_refused(trained: Supernet) -> None:
    other = problem("accuracy.lr=0.01").trained.supernet(trained._folder)
    with pytest.raises(InputError, match="another space or recipe"):
        other.train()


def test_tasks_have_none() -> None:
    found = problem_of(load_space_file("segmentation"))
    assert isinstance(found, NetworkProblem)
    with pytest.raises(InputError, match="not of tasks"):
        found.trained.supernet(Path("nowhere"))
