"""Second seeds of the first trials: before the rest of the budget, and told of in the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import SPACE as TOY
from toy import invsearch, one_line, passed, trial_lines, write_space

from invsearch import load_run
from invsearch.problem.kinds import problem_of
from invsearch.runs import RunFolder
from invsearch.search.replication import Replication
from invsearch.space import load_space_file

SPACE = """
name: small
objectives: {val_loss: minimize, macs: minimize}
model: {family: rednet, resolution: 32}
space:
  width: 0.5
  stage: {blocks: 1, operator: convolution, kernel_size: {choice: [1, 3]}}
accuracy: {epochs: 1, data_fraction: 0.1, baselines: false, proxy: {resolution: 8}}
search: {strategy: random, trials: 5, early_replicates: 3}
"""


@pytest.mark.parametrize("more", [(), ("--deterministic",)])
def test_they_are_of_the_first_trials_and_come_early(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "s.yaml").write_text(SPACE)
    done = passed(invsearch(tmp_path, "run", "s.yaml", "--executor", "serial", *more))
    folder = RunFolder(tmp_path / "results" / "small")
    replicates, trials = folder.replicates(), trial_lines(folder.path)
    assert sorted(one.number for one in replicates) == [0, 1, 2]
    assert len(trials) == 5, "replicates are not charged to the budget"
    assert max(one.started for one in replicates) < max(trial["started"] for trial in trials)
    assert all(one.seed != trials[one.number]["seed"] for one in replicates)
    told = load_run(folder.path).reliability()["val_loss"]
    assert told["n"] == 5
    assert "reliability of the ranking" in done.stdout
    page = passed(invsearch(tmp_path, "report", "small", "-o", "page.html"))
    assert page.returncode == 0
    text = (tmp_path / "page.html").read_text()
    assert "reliability of the ranking" in text
    assert "at equal cost (tau)" in text
    again = passed(invsearch(tmp_path, "run", "s.yaml", "--executor", "serial", "--resume"))
    assert len(folder.replicates()) == 3, again.stdout


@pytest.mark.parametrize(
    ("trials", "setting", "wanted"),
    [
        (32, "auto", 6),
        (15, "auto", 0),
        (16, "auto", 3),
        (1000, "auto", 8),
        (32, "0", 0),
        (4, "2", 2),
    ],
)
def test_how_many(tmp_path: Path, trials: int, setting: str, wanted: int) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SPACE.replace("early_replicates: 3", f"early_replicates: {setting}"))
    problem = problem_of(load_space_file(str(path), []))
    assert Replication(problem, RunFolder(tmp_path / "run"), trials)._early == wanted


def test_where_nothing_is_trained_there_are_none(tmp_path: Path) -> None:
    """A function may be exact, and its seeds say nothing."""
    text = TOY.replace("seed: 1", "seed: 1, early_replicates: 3")
    passed(invsearch(tmp_path, "run", write_space(tmp_path, text), "--executor", "serial"))
    assert not RunFolder(tmp_path / "results" / "toy").replicates()


@pytest.mark.parametrize("value", ["-1", "many", "1.5", "true"])
def test_a_number_that_is_none_is_one_line(tmp_path: Path, value: str) -> None:
    (tmp_path / "s.yaml").write_text(SPACE.replace("replicates: 3", f"replicates: {value}"))
    assert "early_replicates" in one_line(invsearch(tmp_path, "run", "s.yaml"))
