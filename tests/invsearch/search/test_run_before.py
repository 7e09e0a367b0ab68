"""Run folders that the version before wrote are resumed and reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toy import invsearch, passed, trial_lines

BEFORE = Path(__file__).parents[2] / "fixtures" / "run-before"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both runs, with their spaces, where they may be written to."""
    return Path(shutil.copytree(BEFORE, tmp_path / "before"))


@pytest.mark.parametrize(
    ("run", "space", "done", "wanted"), [("plane", "plane.yaml", 6, 9), ("quick", "quick", 2, 3)]
)
def test_it_goes_on_and_is_reported(
    folder: Path, run: str, space: str, done: int, wanted: int
) -> None:
    """What was found stays as it was; a run of a function, and one of trained networks."""
    before = trial_lines(folder / run)
    assert len(before) == done
    resume = ("run", space, "--executor", "serial", "--deterministic", "--resume")
    passed(invsearch(folder, *resume, "--trials", wanted, "--out", run))
    trials = trial_lines(folder / run)
    assert trials[:done] == before
    assert [trial["state"] for trial in trials] == ["complete"] * wanted
    passed(invsearch(folder, "report", run, "-o", "page.html"))
    assert run in (folder / "page.html").read_text()


def test_a_finished_one_stays_as_it_is(folder: Path) -> None:
    resume = ("run", "plane.yaml", "--executor", "serial", "--resume")
    passed(invsearch(folder, *resume, "--out", "plane"))
    assert trial_lines(folder / "plane") == trial_lines(BEFORE / "plane")
