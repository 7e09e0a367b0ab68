"""Journal and logs are compared before a run goes on, and damage is named and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy import invsearch, one_line, passed, trial_lines, write_space

from invsearch.problem.kinds import problem_of
from invsearch.runs import RunFolder
from invsearch.search.agreement import check_agreement
from invsearch.search.session import Outcome, Session
from invsearch.space import load_space_file

RESUME = ("--executor", "serial", "--resume", "--trials", 8, "--out", "run")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A run of six trials, as the content of its files."""
    folder = tmp_path_factory.mktemp("made")
    space = write_space(folder)
    passed(invsearch(folder, "run", space, "--executor", "serial", "--trials", 6, "--out", "run"))
    return {path.name: path.read_bytes() for path in (folder / "run").iterdir() if path.is_file()}


@pytest.fixture
def run(tmp_path: Path, made: dict[str, bytes]) -> Path:
    """The same, where it may be damaged."""
    write_space(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return folder


def refused_twice(run: Path, *words: str) -> None:
    """Resumed twice: the first must not change what the second finds."""
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for _ in range(2):
        one_line(invsearch(run.parent, "run", "toy.yaml", *RESUME), *words)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def without(lines: list[bytes], begin: int, end: int) -> list[bytes]:
    return [*lines[:begin], *lines[end:]]


def trial_begins(lines: list[bytes]) -> list[int]:
    return [place for place, line in enumerate(lines) if b'"op_code":4,' in line]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines, at: lines[: at[4]],
        lambda lines, at: [*lines[: at[4]], lines[at[4]][:20]],
        lambda lines, at: lines[: at[5] + 1],
        lambda lines, at: without(lines, at[2], at[3]),
        lambda lines, at: without(lines, at[0], at[1]),
        lambda lines, at: without(lines, at[3], at[3] + 1),
        lambda lines, at: without(lines, at[3] - 1, at[3]),
        lambda lines, at: lines[at[2] :],
        lambda lines, at: lines[:1],
        lambda lines, at: [],
        lambda lines, at: [*lines[: at[3]], b"garbage\n", *lines[at[3] :]],
        lambda lines, at: [*lines[: at[3]], b"[1]\n", *lines[at[3] :]],
        lambda lines, at: [*lines[: at[3]], b"\xff\x00\n", *lines[at[3] :]],
        lambda lines, at: [b"\x89PNG\r\n\x1a\n", *lines],
        lambda lines, at: [b"\x00\xffbinary" * 10],
        lambda lines, at: [*lines[: at[3]], *lines[at[2] :]],
        lambda lines, at: [line.replace(b'"record"', b'"recorb"') for line in lines],
    ],
    ids=[
        "two trials short", "torn two trials short", "last trial cut", "a trial taken out",
        "first trial taken out", "a beginning taken out", "an end taken out", "head gone",
        "study alone", "empty", "garbage", "a list", "bytes", "picture", "binary", "a trial twice",
        "no records",
    ],
)  # fmt: skip
def test_a_cut_or_damaged_journal_is_refused(
    run: Path, change: Callable[[list[bytes], list[int]], list[bytes]]
) -> None:
    journal = run / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(change(lines, trial_begins(lines))))
    refused_twice(run, "study.journal", ":")


def test_a_missing_journal_is_refused(run: Path) -> None:
    (run / "study.journal").unlink()
    refused_twice(run, "study.journal", "restore")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda trial: trial["metrics"]["error"].update(value=123.0), "metrics"),
        (lambda trial: trial["architecture"].update(kind="c"), "architecture"),
        (lambda trial: trial.update(state="failed", error="no"), "state"),
        (lambda trial: trial.update(seed=5), "seed"),
    ],
)
def test_a_log_that_tells_another_story_is_refused(
    run: Path, change: Callable[[dict[str, Any]], None], field: str
) -> None:
    trials = trial_lines(run)
    change(trials[3])
    text = "".join(json.dumps(trial) + "\n" for trial in trials)
    (run / "trials.jsonl").write_text(text)
    refused_twice(run, "trials.jsonl:4:", "trial 3", field)


def test_the_log_of_another_run_is_refused(run: Path, tmp_path: Path) -> None:
    other = ("--out", "other", "--seed", 9, "--trials", 6, "--executor", "serial")
    passed(invsearch(tmp_path, "run", "toy.yaml", *other))
    (run / "trials.jsonl").write_bytes((tmp_path / "other" / "trials.jsonl").read_bytes())
    refused_twice(run, "trials.jsonl:1:", "trial 0")


@pytest.mark.parametrize("kept", [0, 3, 5])
def test_lines_that_the_log_lacks_are_written_again(run: Path, kept: int) -> None:
    whole = trial_lines(run)
    lines = (run / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (run / "trials.jsonl").write_bytes(b"".join(lines[:kept]))
    passed(invsearch(run.parent, "run", "toy.yaml", *RESUME))
    assert [trial["number"] for trial in trial_lines(run)] == list(range(8))
    assert [trial["metrics"] for trial in trial_lines(run)[:6]] == [t["metrics"] for t in whole]


@pytest.mark.parametrize("name", ["environment.json", "space.yaml"])
@pytest.mark.parametrize(
    "content", [b"\x00\x01\xff\xfe", b"{", b"[1, 2", b"\x89PNG\r\n", b"- 1\n- 2\n"]
)
def test_damage_of_a_whole_file_names_it(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    refused_twice(run, f"{name}:", "restore it, or remove it")
    one_line(invsearch(run.parent, "report", "run", "-o", "page.html"), f"{name}:")


@pytest.mark.parametrize("name", ["environment.json", "space.yaml"])
@pytest.mark.parametrize("empty", [True, False])
def test_what_is_gone_or_empty_is_written_anew(run: Path, name: str, empty: bool) -> None:
    before = (run / "space.yaml").read_bytes()
    (run / name).write_bytes(b"") if empty else (run / name).unlink()
    result = passed(invsearch(run.parent, "run", "toy.yaml", *RESUME))
    assert f"{name} was gone" in result.stderr
    assert (run / "space.yaml").read_bytes() == before
    assert json.loads((run / "environment.json").read_text())["id"]
    assert len(trial_lines(run)) == 8


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\n{}\n", ["replicates.jsonl:1:"]),
        (b"{}\n", ["replicates.jsonl:1:", "schema"]),
        (
            b'{"schema": 1, "number": 77, "seed": 1, "metrics": {}, "started": "", "finished": "",'
            b' "environment": ""}\n',
            ["replicates.jsonl:1:", "trial 77"],
        ),
    ],
)
def test_damaged_replicates_name_their_line(run: Path, content: bytes, words: list[str]) -> None:
    (run / "replicates.jsonl").write_bytes(content)
    refused_twice(run, *words)


def test_a_newer_runs_files_are_refused_with_the_reason(run: Path) -> None:
    trials = (run / "trials.jsonl").read_text()
    environment = (run / "environment.json").read_text()
    (run / "trials.jsonl").write_text(trials.replace('"schema": 1', '"schema": 2'))
    words = ("newer version", "schema 2", "update invsearch")
    refused_twice(run, "trials.jsonl:1:", *words)
    one_line(invsearch(run.parent, "report", "run", "-o", "page.html"), "trials.jsonl:1:", *words)
    (run / "trials.jsonl").write_text(trials)
    (run / "environment.json").write_text(environment.replace('"schema": 1', '"schema": 2'))
    refused_twice(run, "environment.json", *words)
    one_line(invsearch(run.parent, "report", "run", "-o", "page.html"), "environment.json", *words)


def test_the_log_is_never_ahead_of_the_journal(tmp_path: Path) -> None:
    """Trials of counted objectives are written many at a time, and may end out of order."""
    text = (
        "name: counted\nobjectives: {macs: minimize}\nmodel: {family: rednet, resolution: 32}\n"
        "space: {width: {choice: [0.25, 0.5, 0.75, 1.0]}, stage: {blocks: 1}}\n"
        "search: {strategy: random}\n"
    )
    (tmp_path / "counted.yaml").write_text(text)
    problem = problem_of(load_space_file(tmp_path / "counted.yaml"))
    folder = RunFolder(tmp_path / "run")
    folder.create(text, None, {"id": "abc"})
    session = Session(problem, folder, environment="abc", trials=4, capacity=3)
    first, second, third = (session.ask() for _ in range(3))
    assert first
    assert second
    assert third
    session.finish(first, Outcome())
    session.finish(third, Outcome())
    session.close()  # as where the executor was interrupted, or after so many trials
    assert [trial.number for trial in folder.logged()] == [0, 2]
    check_agreement(folder)
    session.finish(second, Outcome())
    session.close()
    assert sorted(trial.number for trial in folder.logged()) == [0, 1, 2]
    check_agreement(folder)
