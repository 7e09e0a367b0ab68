"""Which runs a report shows and where it is written when the command does not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from invsearch.errors import InputError
from invsearch.report import default_output, find_runs
from invsearch.runs import RunFolder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(name: str, age: int) -> None:
    folder = RunFolder(Path("results") / name)
    folder.create(f"name: {name}\n", None, {"id": "x"})
    for path in folder.path.iterdir():
        os.utime(path, (1e9 - age, 1e9 - age))


def test_without_a_name_it_is_the_latest_run() -> None:
    """The search that just ended is the one to look at; files beside runs are none."""
    make("old", 100)
    make("new", 1)
    Path("results/notes").mkdir()
    Path("results/README.md").touch()
    assert find_runs([]) == [Path("results/new")]


def test_named_runs_come_in_order_and_once() -> None:
    """A name under results/ and its path are one run."""
    make("a", 1)
    make("b", 2)
    assert find_runs(["b", "a", "results/b"]) == [Path("results/b"), Path("results/a")]


def test_no_run_at_all_says_what_to_do() -> None:
    """One line with the way out."""
    with pytest.raises(InputError, match="invsearch run SPACE"):
        find_runs([])
    with pytest.raises(InputError, match="no run 'x'"):
        find_runs(["x"])


def test_the_page_is_named_after_its_runs() -> None:
    """Under reports/, which is git-ignored."""
    assert default_output([Path("results/a")]) == Path("reports/a.html")
    assert default_output([Path("a"), Path("b"), Path("c")]) == Path("reports/a-and-2-more.html")
