"""Limits: of a trial's time, of the search's, of failures in a row; and what ends the driver."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from toy import invsearch, passed, trial_lines

EVALUATOR = '''
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time


def stubborn():
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass


WAYS = {
    "sleep": lambda: time.sleep(600),
    "stubborn": stubborn,
    "native": lambda: ctypes.PyDLL(None).sleep(600),
    "child": lambda: subprocess.run([sys.executable, "-c", "import time; time.sleep(601)"]),
    "exit": lambda: os._exit(7),
    "segfault": lambda: ctypes.string_at(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "well": lambda: None,
    "better": lambda: None,
}


def evaluate(values):
    with open("begun", "a") as file:
        print(values["how"], os.getpid(), file=file)
    WAYS[values["how"]]()
    return {"error": 1.0}


def slow(values, context):
    """Goes on from the step it had reached."""
    path = context.folder / "step"
    for step in range(int(path.read_text()) if path.exists() else 0, 4):
        path.write_text(str(step))
        with open("begun", "a") as file:
            print(context.number, step, file=file)
        time.sleep(0.5)
    return {"error": 1.0}


def failing(values):
    if len(values["how"]) == 4:
        return {"error": 1.0}
    raise ValueError("as always")
'''


def write(folder: Path, ways: list[str], function: str = "evaluate", **search: Any) -> Path:
    (folder / "limited.py").write_text(EVALUATOR)
    path = folder / "space.yaml"
    document = {
        "name": "limited",
        "objectives": {"error": "minimize"},
        "params": {"how": {"choice": ways}},
        "evaluator": f"limited:{function}",
        "search": {"strategy": "exhaustive", "trials": len(ways), **search},
    }
    path.write_text(json.dumps(document))
    return path


def begun(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "begun").read_text().splitlines()]


def test_a_trial_over_its_time_is_ended_and_fails(tmp_path: Path) -> None:
    """Whatever it does against that, with what it started; the others are as they would be."""
    ways = ["well", "stubborn", "child", "exit", "better"]
    space = write(tmp_path, ways, trial_timeout=1.5)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    trials = {t["architecture"]["how"]: t for t in trial_lines(tmp_path / "results" / "limited")}
    for way in ("stubborn", "child"):
        assert trials[way]["error"] == "time limit: it took longer than 1.5 s"
    assert "exit code 7" in trials["exit"]["error"]
    assert [t["state"] for t in trials.values()].count("complete") == 2
    for process in psutil.process_iter(["cmdline"]):
        assert "import time; time.sleep(601)" not in (process.info["cmdline"] or [])


def test_the_search_ends_when_its_time_is_up(tmp_path: Path) -> None:
    """What is under way is no trial yet: the next command goes on with it where it stood."""
    space = write(tmp_path, ["well", "better", "sleep"], "slow")
    run = ("run", space, "--executor", "serial")
    ended = invsearch(tmp_path, *run, "--timeout", 3.2)
    assert ended.returncode == 0, ended.stderr
    assert "search.timeout = 3.2 s is over" in ended.stderr
    assert "1 under way" in ended.stderr
    folder = tmp_path / "results" / "limited"
    assert "search.timeout" in json.loads((folder / "environment.json").read_text())["ended"]
    assert [trial["state"] for trial in trial_lines(folder)] == ["complete"]
    passed(invsearch(tmp_path, *run, "--resume"))
    assert [trial["state"] for trial in trial_lines(folder)] == ["complete"] * 3
    assert json.loads((folder / "environment.json").read_text())["ended"] is None
    assert [number for number, step in begun(tmp_path) if step == "0"] == ["0", "1", "2"]


def test_nothing_completed_in_time_is_a_failure(tmp_path: Path) -> None:
    space = write(tmp_path, ["sleep"], timeout=0.5)
    ended = invsearch(tmp_path, "run", space, "--executor", "serial")
    assert ended.returncode == 1
    assert "no trial has ended" in ended.stderr


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_number_of_seconds(tmp_path: Path, value: str) -> None:
    ended = invsearch(tmp_path, "run", write(tmp_path, ["well"]), f"--timeout={value}")
    assert ended.returncode == 2
    assert "timeout" in ended.stderr


def test_failure_after_failure_ends_the_search(tmp_path: Path) -> None:
    """Four-letter words complete, and begin the count anew."""
    ways = ["exit", "native", "sleep", "well", "child", "killed", "stubborn", "better"]
    space = write(tmp_path, ways, "failing", max_failures_in_row=3)
    run = ("run", space, "--executor", "serial")
    ended = passed(invsearch(tmp_path, *run))
    assert "3 trials in a row failed (search.max_failures_in_row)" in ended.stderr
    trials = trial_lines(tmp_path / "results" / "limited")
    assert [trial["architecture"]["how"] for trial in trials] == ways[: len(trials)]
    assert [trial["state"] for trial in trials][-4:] == ["complete", *["failed"] * 3]
    again = invsearch(tmp_path, *run, "--resume")
    assert again.returncode == 0, "asked for, it goes on"
    assert len(trial_lines(tmp_path / "results" / "limited")) == len(ways)


@pytest.mark.parametrize("way", ["exit", "segfault", "killed"])
def test_a_resume_gets_past_what_ended_the_driver(tmp_path: Path, way: str) -> None:
    """The trial during which the driver died is evaluated apart, and blamed if it dies again."""
    space = write(tmp_path, ["well", way, "better"])
    run = ("run", space, "--executor", "serial", "--resume")
    died = invsearch(tmp_path, *run, TOY="1")
    assert died.returncode not in (0, 1, 2)
    passed(invsearch(tmp_path, *run))
    trials = {t["architecture"]["how"]: t for t in trial_lines(tmp_path / "results" / "limited")}
    assert trials[way]["state"] == "failed"
    reason = {"exit": "exit code 7", "segfault": "SIGSEGV", "killed": "SIGKILL"}[way]
    assert reason in trials[way]["error"]
    assert trials["well"]["state"] == trials["better"]["state"] == "complete"
    assert [how for how, _ in begun(tmp_path)].count(way) == 2
    assert not (tmp_path / "results" / "limited" / ".evaluating").exists()


def test_a_child_that_lives_on_does_not_hold_the_run(tmp_path: Path) -> None:
    """An evaluator forks and its driver dies: the folder is free, and can be resumed."""
    (tmp_path / "forking.py").write_text(
        "import os, time\n"
        "def evaluate(values):\n"
        "    if values['x'] == 1:\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n"
        "            os.closerange(0, 3)\n"
        "            time.sleep(60)\n"
        "            os._exit(0)\n"
        "        open('child', 'w').write(str(pid))\n"
        "    if values['x'] == 2 and not os.path.exists('died'):\n"
        "        open('died', 'w').close()\n"
        "        os._exit(9)\n"
        "    return {'error': 1.0}\n"
    )
    space = tmp_path / "space.yaml"
    space.write_text(
        "name: forking\nobjectives: {error: minimize}\nparams: {x: {range: [1, 3]}}\n"
        "evaluator: forking:evaluate\nsearch: {strategy: exhaustive, trials: 3}\n"
    )
    run = ("run", space, "--executor", "serial", "--resume")
    assert invsearch(tmp_path, *run, TOY="1").returncode == 9
    child = int((tmp_path / "child").read_text())
    assert psutil.pid_exists(child)
    with (tmp_path / "results" / "forking" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        passed(invsearch(tmp_path, *run))
    finally:
        os.kill(child, signal.SIGKILL)
    assert [t["state"] for t in trial_lines(tmp_path / "results" / "forking")] == ["complete"] * 3


@pytest.mark.parametrize("function", ["swallowing", "raising"])
def test_ctrl_c_is_the_users_even_where_an_evaluator_catches_it(
    tmp_path: Path, function: str
) -> None:
    """And a KeyboardInterrupt that no signal caused is the evaluator's own failure."""
    (tmp_path / "interrupted.py").write_text(
        "import os, signal\n"
        "def swallowing(values):\n"
        "    try:\n"
        "        if values['x'] == 2:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            import time; time.sleep(5)\n"
        "    except BaseException:\n"
        "        pass\n"
        "    return {'error': 1.0}\n"
        "def raising(values):\n"
        "    if values['x'] == 2:\n"
        "        raise KeyboardInterrupt\n"
        "    return {'error': 1.0}\n"
    )
    space = tmp_path / "space.yaml"
    space.write_text(
        "name: run\nobjectives: {error: minimize}\nparams: {x: {range: [1, 3]}}\n"
        f"evaluator: interrupted:{function}\nsearch: {{strategy: exhaustive, trials: 3}}\n"
    )
    ended = invsearch(tmp_path, "run", space, "--executor", "serial", TOY="1")
    states = [trial["state"] for trial in trial_lines(tmp_path / "results" / "run")]
    if function == "swallowing":
        assert ended.returncode == 130
        assert states == ["complete"]
    else:
        assert ended.returncode == 0
        assert states == ["complete", "failed", "complete"]
