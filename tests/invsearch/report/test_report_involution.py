"""The page says whether involution is on the front, and what kept it off."""

from __future__ import annotations

from pathlib import Path

import pytest

from invsearch.metrics import Fidelity, Metric
from invsearch.report.involution import involution_sentence
from invsearch.runs import RunData, Trial
from invsearch.space.architecture import Architecture

SPACE = "name: a\nobjectives: {val_loss: minimize, macs: minimize}\nmodel: {family: rednet}\n"


def trial(number: int, loss: float, macs: float, *operators: str) -> Trial:
    spent = Fidelity(5, 5, 14)
    metrics = {
        "val_loss": Metric("val_loss", loss, "trained", fidelity=spent),
        "macs": Metric("macs", macs, "counted"),
    }
    items = [(f"stage{stage}.operator", name) for stage, name in enumerate(operators, 1)]
    return Trial(number, "complete", Architecture((*items, ("width", number))), metrics)


def told(*trials: Trial, space: str = SPACE) -> str:
    return involution_sentence(RunData(Path("run"), trials, space_text=space))


def test_it_counts_networks_with_an_involution() -> None:
    mixed = trial(0, 0.5, 1e6, "involution", "convolution")
    other = trial(1, 0.4, 2e6, "convolution", "convolution")
    assert told(mixed, other) == "An involution is in a stage of 1 of the front's 2 networks."


def test_it_says_what_kept_it_off() -> None:
    """The nearest is the one that the fewest dominate, not the one of the least loss."""
    best = trial(0, 0.3, 1e6, "convolution")
    small = trial(1, 0.6, 5e5, "convolution")
    near = trial(2, 0.7, 8e5, "involution")
    far = trial(3, 0.65, 3e6, "involution")
    line = told(best, small, near, far)
    assert "No network of the front has an involution in a stage: of 2 that have, trial 2" in line
    assert "and trial 1 is at least as good in everything (validation loss 0.6" in line


@pytest.mark.parametrize("operators", [("convolution",), ("involution",)])
def test_it_is_silent_where_there_was_no_choice(operators: tuple[str, ...]) -> None:
    assert told(trial(0, 0.5, 1e6, *operators), trial(1, 0.4, 2e6, *operators)) == ""
    other = trial(1, 0.4, 2e6, "involution")
    params = SPACE.replace("model: {family: rednet}\n", "")
    assert told(trial(0, 0.5, 1e6, "convolution"), other, space=params) == ""
