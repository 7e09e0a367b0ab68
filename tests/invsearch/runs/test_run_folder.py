"""RunFolder: what a kill, a second driver or a damaged file may and may not do to a run."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invsearch.errors import InputError
from invsearch.metrics import Fidelity, Metric
from invsearch.runs import Replicate, RunFolder, Trial
from invsearch.space.architecture import Architecture

SPACE = "name: demo\nobjectives: {error: minimize, macs: minimize}\n"


def make_trial(number: int, percent: float = 10.0, macs: float = 1e9, **changes: Any) -> Trial:
    trial = Trial(
        number=number,
        state="complete",
        architecture=Architecture((("depth", 26), ("operator", "involution"))),
        metrics={
            "error": Metric(
                "error",
                percent,
                "trained",
                percent - 1,
                percent + 1,
                Fidelity(6, 6, 8, dataset="digits"),
            ),
            "macs": Metric("macs", macs, "counted", detail={"convention": "fvcore"}),
        },
        started="2026-11-22T10:00:00+00:00",
        finished="2026-11-22T10:00:05+00:00",
        environment="abc",
    )
    return replace(trial, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "results" / "demo")
    made.create(SPACE, None, {"id": "abc"})
    return made


def test_trials_come_back_as_they_were_written(folder: RunFolder) -> None:
    """Value, source, interval, fidelity, seed and error survive the disk."""
    trials = [
        make_trial(0, origin="baseline"),
        make_trial(2, state="stopped", seed=7),
        make_trial(3, state="failed", metrics={}, error="training loss is nan at epoch 2, step 7"),
        make_trial(4, state="infeasible", constraints={"macs": 5e8}, error="macs above 1G"),
    ]
    for trial in trials:
        folder.append_trials([trial])
    again = RunFolder(folder.path)
    assert again.trials() == trials
    assert again.notices == []


def test_trial_lines_have_the_documented_fields(folder: RunFolder) -> None:
    """Other programs read trials.jsonl."""
    folder.append_trials([make_trial(0)])
    line = json.loads(folder.trials_path.read_text())
    assert list(line) == [
        "schema", "number", "state", "architecture", "metrics", "constraints", "origin", "seed",
        "started", "finished", "environment", "error",
    ]  # fmt: skip
    assert {"value", "source", "low", "high", "fidelity"} <= set(line["metrics"]["error"])


def test_a_torn_last_line_is_dropped_with_a_notice_and_cut_by_the_next_append(
    folder: RunFolder,
) -> None:
    """A kill in the middle of a write must not glue two lines together."""
    folder.append_trials([make_trial(0)])
    folder.append_trials([make_trial(1)])
    whole = folder.trials_path.read_bytes()
    folder.trials_path.write_bytes(whole[:-20])
    again = RunFolder(folder.path)
    assert [trial.number for trial in again.trials()] == [0]
    assert "trials.jsonl:2" in again.notices[0]
    again.append_trials([make_trial(1)])
    assert folder.trials_path.read_bytes() == whole
    assert len(RunFolder(folder.path).trials()) == 2


def test_a_torn_last_line_with_a_line_end_is_cut_too(folder: RunFolder) -> None:
    """Blocks reach the disk in any order: a last line may end and still be half."""
    folder.append_trials([make_trial(0)])
    whole = folder.trials_path.read_bytes()
    folder.trials_path.write_bytes(whole + b'{"schema": 1, "num\n')
    RunFolder(folder.path).append_trials([make_trial(1)])
    assert [trial.number for trial in RunFolder(folder.path).trials()] == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line[:40], "not a line of JSON"),
        (lambda line: "[1]", "not an object"),
        (lambda line: "{}", "the field 'schema' is missing"),
        (lambda line: line.replace('"schema": 1', '"schema": 9'), "schema 9"),
        (lambda line: line.replace('"state": "complete"', '"state": "done"'), "state is 'done'"),
        (lambda line: line.replace('"number": 1', '"number": -1'), "whole number"),
        (lambda line: line.replace('"number": 1', '"number": 0'), "already on line 1"),
        (lambda line: line.replace('"value": 10.0', '"value": "ten"'), "not a number"),
        (lambda line: line.replace('"source": "trained"', '"source": "guess"'), "guess"),
        (lambda line: line.replace('"low": 9.0', '"low": "x"'), "interval"),
        (lambda line: line.replace('"seed": 0, ', ""), "the field 'seed' is missing"),
    ],
)
def test_damage_before_the_last_line_names_file_and_line(
    folder: RunFolder, change: Any, message: str
) -> None:
    """Damage is never skipped: a lost trial would be evaluated and counted twice."""
    for number in range(3):
        folder.append_trials([make_trial(number)])
    lines = folder.trials_path.read_text().splitlines()
    lines[1] = change(lines[1])
    folder.trials_path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        RunFolder(folder.path).trials()
    text = str(caught.value)
    assert f"{folder.trials_path}:2: " in text
    assert message in text
    assert "\n" not in text


def test_a_whole_last_line_that_is_no_trial_is_damage(folder: RunFolder) -> None:
    """Only what a crash can leave is forgiven."""
    folder.trials_path.write_text('{"number": 0}\n')
    with pytest.raises(InputError, match=r"trials\.jsonl:1: "):
        folder.trials()


def test_a_trial_is_never_logged_twice(folder: RunFolder) -> None:
    """No trial is counted twice, also not by a driver that resumes."""
    folder.append_trials([make_trial(0)])
    with pytest.raises(ValueError, match="already"):
        folder.append_trials([make_trial(0)])
    with pytest.raises(ValueError, match="already"):
        RunFolder(folder.path).append_trials([make_trial(0)])


def test_not_finite_numbers_never_reach_the_log(folder: RunFolder) -> None:
    """An interval that is not finite is none; a constraint must be judged."""
    metric = Metric("error", 3.0, "evaluated", float("nan"), float("inf"))
    folder.append_trials([make_trial(0, metrics={"error": metric})])
    assert "NaN" not in folder.trials_path.read_text()
    assert RunFolder(folder.path).trials()[0].metrics["error"].low is None
    with pytest.raises(ValueError, match="constraint 'macs'"):
        folder.append_trials([make_trial(1, constraints={"macs": float("nan")})])


def test_the_lock_keeps_a_second_process_out_and_dies_with_its_holder(folder: RunFolder) -> None:
    """Two drivers on one folder would lose trials; a killed one must not block the next."""
    code = (
        "import sys, time; from invsearch.runs import RunFolder\n"
        "with RunFolder(sys.argv[1]).lock():\n    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {process.pid} "), folder.lock():
            pass
    finally:
        process.kill()
        process.communicate()
    with folder.lock():
        pass


def test_the_lock_makes_a_missing_folder(tmp_path: Path) -> None:
    """The driver locks first and creates under the lock."""
    missing = RunFolder(tmp_path / "a" / "b")
    assert not missing.exists
    with missing.lock():
        assert not missing.exists
        missing.create(SPACE, None, {"id": "abc"})
    assert missing.exists
    assert not missing.half_made


@pytest.mark.parametrize("part", ["space.yaml", "environment.json", "study.journal", "checkpoints"])
def test_a_half_made_folder_is_told_apart_and_finished(tmp_path: Path, part: str) -> None:
    """A kill while the folder is made leaves some of it; --resume starts from there."""
    folder = RunFolder(tmp_path / "demo")
    folder.path.mkdir()
    (folder.path / part).mkdir() if part == "checkpoints" else (folder.path / part).touch()
    assert folder.half_made
    assert not folder.holds_trials
    assert folder.trials() == []
    folder.create(SPACE, None, {"id": "abc"})
    assert not folder.half_made
    assert folder.space_text() == SPACE


def test_another_space_does_not_take_over_a_folder_that_holds_trials(folder: RunFolder) -> None:
    """Trials of two spaces in one folder could never be compared."""
    folder.create(SPACE + "# changed\n", None, {"id": "abc"})
    folder.append_trials([make_trial(0)])
    with pytest.raises(InputError, match="another space"):
        folder.create(SPACE, None, {"id": "abc"})


def test_the_stored_text_must_be_the_space_that_is_searched(tmp_path: Path) -> None:
    """A text without the overrides would make the report and a repeat wrong."""
    with pytest.raises(ValueError, match="objectives"):
        RunFolder(tmp_path).create(SPACE, {"objectives": {"val_loss": "minimize"}}, {})


def test_environments_of_a_resumed_run_are_all_kept(folder: RunFolder) -> None:
    """Every trial's environment id must be found in environment.json."""
    folder.add_environment({"id": "def", "python": "3.12"}, command=["run", "demo"])
    folder.add_environment({"id": "abc"})
    environment = folder.environment()
    assert environment["id"] == "abc"
    assert environment["further"] == {"def": {"id": "def", "python": "3.12"}}
    assert environment["command"] == ["run", "demo"]


def test_front_csv_has_the_documented_columns(folder: RunFolder) -> None:
    """Spreadsheets and other programs read front.csv by its header."""
    trials = [
        make_trial(0, 10.0, 1e9),
        make_trial(1, 20, 5e8, architecture=Architecture((("depth", 38), ("width", 0.5)))),
        make_trial(2, 30, 2e9),
        make_trial(3, 1, 1, state="stopped"),
        make_trial(4, 1, 1, constraints={"macs": 0.1}),
    ]
    folder.write_front(trials, {"error": "minimize", "macs": "minimize"})
    with folder.front_path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [
        "trial", "depth", "operator", "width",
        "error", "error_low", "error_high", "error_source",
        "macs", "macs_low", "macs_high", "macs_source", "p_front",
    ]  # fmt: skip
    assert [row[0] for row in rows[1:]] == ["0", "1"]
    assert rows[2][1:4] == ["38", "", "0.5"]
    assert rows[1][4:12] == ["10.0", "9.0", "11.0", "trained", "1000000000.0", "", "", "counted"]


def test_a_front_of_nothing_is_a_header(folder: RunFolder) -> None:
    """front.csv exists from the first trial on, also when it failed."""
    folder.write_front([], {"error": "minimize"})
    header = "trial,error,error_low,error_high,error_source,p_front\n"
    assert folder.front_path.read_text() == header


def test_replicates_narrow_a_trial_without_a_second_line(folder: RunFolder) -> None:
    """A further seed updates mean, interval and n; the log of trials stays as it was."""
    folder.append_trials([make_trial(0, 10.0)])
    line = folder.trials_path.read_bytes()
    other = make_trial(0, 11.0).metrics["error"]
    folder.append_replicate(Replicate(0, seed=1, metrics={"error": other}))
    folder.append_replicate(Replicate(0, seed=2, metrics={"error": other}))
    error = RunFolder(folder.path).trials()[0].metrics["error"]
    assert error.n == 3
    assert error.value == pytest.approx(32 / 3)
    assert error.low is not None
    assert error.high is not None
    assert 0 < error.high - error.low < 2.0
    assert folder.trials_path.read_bytes() == line


def test_what_exceeds_a_bound_is_a_mean_of_the_same_seeds(folder: RunFolder) -> None:
    """A trial that kept its bound by luck leaves the front; older lines say nothing of bounds."""
    lucky = replace(make_trial(0, 10.0), constraints={"error": -1.0, "macs": -2.0})
    folder.append_trials([lucky])
    other = make_trial(0, 16.0).metrics["error"]
    folder.append_replicate(Replicate(0, 1, {"error": other}, constraints={"error": 5.0}))
    trial = folder.trials()[0]
    assert trial.constraints == {"error": 2.0, "macs": -2.0}
    assert trial.metrics["error"].value == 13.0
    older = json.loads(folder.replicates_path.read_text())
    del older["constraints"]
    folder.replicates_path.write_text(json.dumps(older) + "\n")
    assert folder.trials()[0].constraints == lucky.constraints


def test_a_replicate_of_another_fidelity_is_not_mixed_in(folder: RunFolder) -> None:
    """Metrics of different fidelities are never treated as one quantity."""
    folder.append_trials([make_trial(0)])
    short = replace(make_trial(0, 50.0).metrics["error"], fidelity=Fidelity(1, 6, 8))
    folder.append_replicate(Replicate(0, seed=1, metrics={"error": short}))
    assert folder.trials()[0].metrics["error"].value == 10.0


def test_a_torn_replicate_is_dropped(folder: RunFolder) -> None:
    """The log of replicates is written the same way and may be torn the same way."""
    folder.append_trials([make_trial(0)])
    folder.replicates_path.write_text('{"schema": 1, "num')
    assert len(folder.trials()) == 1
    assert "replicates.jsonl:1" in folder.notices[0]
    folder.append_replicate(Replicate(0, seed=1))
    folder.trials()
    assert folder.notices == []
