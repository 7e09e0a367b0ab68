"""Points of the user's own: from a table, from another run with its results, and by ``enqueue``."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from toy import SPACE, invsearch, one_line, passed, trial_lines, write_space

from invsearch import load_run
from invsearch.runs import RunFolder

RUN = ("run", "toy.yaml", "--executor", "serial")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_space(tmp_path, search="{strategy: random, trials: 6, seed: 1}")
    return tmp_path


def run(folder: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return passed(invsearch(folder, *RUN, *more))


def architectures(folder: Path) -> list[dict[str, Any]]:
    return [trial["architecture"] for trial in trial_lines(folder)]


def test_a_tables_points_are_evaluated_first_and_once(folder: Path) -> None:
    (folder / "mine.csv").write_text("kind,x,notes\na,9,good\nb,2,\na,9,again\n")
    result = run(folder, "--import", "mine.csv", "--out", "r")
    assert "3 points are evaluated first; left out: the columns notes" in result.stderr
    trials = trial_lines(folder / "r")
    assert [t["origin"] for t in trials] == ["user"] * 2 + ["sampler"] * 4
    assert architectures(folder / "r")[:2] == [{"x": 9, "kind": "a"}, {"x": 2, "kind": "b"}]
    run(folder, "--import", "mine.csv", "--out", "r", "--resume", "--trials", 8)
    assert [t["origin"] for t in trial_lines(folder / "r")].count("user") == 2


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("kind,x\na,99\n", ["mine.csv:2:", "'x' cannot be 99"]),
        ("kind\na\n", ["mine.csv:2:", "'x' has no value"]),
        ("a,b\n1,2\n", ["no column is a parameter; parameters: x, kind"]),
        ("kind,x\na\n", ["another number of cells"]),
    ],
)
def test_a_table_that_is_wrong_is_one_line(folder: Path, table: str, words: list[str]) -> None:
    (folder / "mine.csv").write_text(table)
    one_line(invsearch(folder, *RUN, "--import", "mine.csv"), *words)
    assert not (folder / "results").exists(), "before anything is made"


def test_a_changed_space_keeps_what_still_fits_with_its_results(folder: Path) -> None:
    run(folder, "--out", "old", "--trials", 12)
    old = trial_lines(folder / "old")
    write_space(folder, SPACE.replace("[1, 9], step: 1", "[1, 5], step: 1"))
    fits = [trial for trial in old if trial["architecture"]["x"] <= 5]
    assert 0 < len(fits) < len(old)
    refused = one_line(
        invsearch(folder, *RUN, "--out", "old", "--resume"), "another space", "space"
    )
    assert "--import old" in refused
    # an evaluator that would say so: what is kept is not evaluated again
    source = (folder / "toy_evaluator.py").read_text()
    noting = (
        "):\n    with open('evaluated', 'a') as file:\n        file.write('x')\n    time.sleep("
    )
    counted = source.replace("):\n    time.sleep(", noting, 1)
    (folder / "toy_evaluator.py").write_text(counted)
    result = run(folder, "--import", "old", "--out", "new", "--trials", len(fits) + 2)
    assert (
        f"old: {len(fits)} of its 12 trials are kept with their results; left out:" in result.stderr
    )
    assert "'x' cannot be" in result.stderr
    trials = trial_lines(folder / "new")
    kept, fresh = trials[: len(fits)], trials[len(fits) :]
    assert [t["origin"] for t in kept] == ["imported"] * len(fits)
    for was, now in zip(fits, kept, strict=True):
        for what in ("architecture", "metrics", "seed", "started", "finished", "environment"):
            assert was[what] == now[what]
    assert [t["number"] for t in trials] == list(range(len(trials)))
    known = json.loads((folder / "new" / "environment.json").read_text())
    assert {t["environment"] for t in trials} <= {known["id"], *known.get("further", {})}
    assert (folder / "evaluated").read_text() == "x" * len(fresh) == "xx"
    run(folder, "--import", "old", "--out", "new", "--trials", len(fits) + 3, "--resume")
    assert len(trial_lines(folder / "new")) == len(fits) + 3, "once is enough"


def test_further_seeds_come_along_once(folder: Path) -> None:
    """They are not evaluated again, nor taken for one seed: the trial is what it was."""
    (folder / "toy_evaluator.py").write_text(
        "import random\n"
        "def evaluate(values, context):\n"
        "    error = values['x'] + random.Random(context.seed).gauss(0, 1)\n"
        "    return {'error': {'value': error, 'low': error - 2, 'high': error + 2}, 'size': 1.0}\n"
    )
    replicated = ("--set", "search.replicates=2")
    run(folder, *replicated, "--out", "old", "--trials", 8)
    was = {trial.architecture: trial.metrics for trial in load_run(folder / "old").trials}
    seeds = RunFolder(folder / "old").replicates()
    assert seeds
    again = (*replicated, "--import", "old", "--out", "new", "--trials", 8)
    run(folder, *again)
    run(folder, *again, "--resume")
    assert {t.architecture: t.metrics for t in load_run(folder / "new").trials} == was
    brought = RunFolder(folder / "new").replicates()
    assert sorted(one.seed for one in brought) == sorted(one.seed for one in seeds)


def test_a_parameter_that_is_held_now_keeps_those_that_have_its_value(folder: Path) -> None:
    run(folder, "--out", "old", "--trials", 10)
    text = re.sub(r"  kind:.*\n", "  kind: {choice: [a]}\n", SPACE)
    write_space(folder, text)
    run(folder, "--import", "old", "--out", "new", "--trials", 9)
    kept = [t for t in trial_lines(folder / "new") if t["origin"] == "imported"]
    assert len(kept) == sum(one["kind"] == "a" for one in architectures(folder / "old"))


def test_a_run_that_measured_otherwise_gives_its_fronts_points_alone(folder: Path) -> None:
    run(folder, "--out", "old", "--trials", 10)
    write_space(folder, evaluator="toy_evaluator:error_alone", costs="toy_evaluator:costs")
    result = run(folder, "--import", "old", "--out", "new", "--trials", 8)
    assert (
        "points of its front are evaluated first, as it differs in evaluator, costs"
        in result.stderr
    )
    origins = [t["origin"] for t in trial_lines(folder / "new")]
    assert "imported" not in origins
    assert origins[0] == "user"


def test_a_point_is_queued_and_evaluated_next(folder: Path) -> None:
    run(folder, "--out", "r", "--trials", 3)
    taken = architectures(folder / "r")
    free = next(x for x in range(1, 10) if {"x": x, "kind": "b"} not in taken)
    queued = passed(invsearch(folder, "enqueue", "r", "--set", f"x={free}", "--set", "kind=b"))
    assert f"queued: x={free} kind=b" in queued.stdout
    passed(invsearch(folder, "enqueue", "r", "--like", 0, "--set", f"kind={taken[0]['kind']}"))
    run(folder, "--out", "r", "--trials", 5, "--resume")
    trials = trial_lines(folder / "r")
    assert trials[3]["architecture"] == {"x": free, "kind": "b"}
    assert [t["origin"] for t in trials[3:]] == ["user", "sampler"], (
        "what was evaluated is not again"
    )
    run(folder, "--out", "r", "--trials", 7, "--resume")
    assert architectures(folder / "r").count({"x": free, "kind": "b"}) == 1


def test_a_running_search_takes_up_what_is_queued_meanwhile(folder: Path) -> None:
    """The evaluator queues a point itself, from the side, while the search goes on."""
    source = (folder / "toy_evaluator.py").read_text()
    queueing = """
import json, pathlib
_first = []
def queueing(values):
    if not _first:
        _first.append(1)
        other = {"x": 9 if values["x"] != 9 else 8, "kind": "b"}
        lines = json.dumps(other) + "\\n" + json.dumps({"x": 77}) + "\\n[1]\\n"
        pathlib.Path("results/toy/queue.jsonl").write_text(lines)
    return evaluate(values)
"""
    write_space(folder, evaluator="toy_evaluator:queueing", search="{strategy: random, trials: 4}")
    (folder / "toy_evaluator.py").write_text(source + queueing)
    run(folder)
    trials = trial_lines(folder / "results" / "toy")
    assert trials[1]["origin"] == "user"
    assert trials[1]["architecture"]["kind"] == "b"
    assert [t["state"] for t in trials] == ["complete"] * 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "y=1"], ["no parameter 'y'"]),
        (["--set", "x"], ["write --set NAME=VALUE"]),
        (["--set", "x=1"], ["'kind' has no value"]),
        (["--set", "x=100", "--set", "kind=a"], ["'x' cannot be 100"]),
        (["--like", "99"], ["no trial 99"]),
    ],
)
def test_a_point_that_is_none_is_one_line(
    folder: Path, arguments: list[str], words: list[str]
) -> None:
    run(folder, "--out", "r", "--trials", 1)
    one_line(invsearch(folder, "enqueue", "r", *arguments), *words)
    assert not (folder / "r" / "queue.jsonl").exists()


def test_a_point_behind_a_torn_line_is_not_lost(folder: Path) -> None:
    """A kill or a full disk cut the line before it short."""
    run(folder, "--out", "r", "--trials", 4)
    (folder / "r" / "queue.jsonl").write_bytes(b'{"x": 3, "ki')
    tried = {trial["architecture"]["x"] for trial in trial_lines(folder / "r")}
    free = next(x for x in range(1, 10) if x not in tried)
    passed(invsearch(folder, "enqueue", "r", "--set", f"x={free}", "--set", "kind=b"))
    run(folder, "--out", "r", "--trials", 5, "--resume")
    last = trial_lines(folder / "r")[-1]
    assert (last["origin"], last["architecture"]) == ("user", {"x": free, "kind": "b"})
