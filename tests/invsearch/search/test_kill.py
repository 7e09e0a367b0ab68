"""kill -9 at any moment, then --resume: the result is as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toy import command, invsearch, passed, trial_lines, without_times, write_space

from invsearch import load_run

PROMOTING = "{strategy: random, trials: 14, seed: 1, rungs: [1, 3], promote: true, parallel: 2}"
SERIAL = ("--executor", "serial", "--deterministic", "--trials", 12)


def killed_once_it_holds(folder: Path, lines: int, *arguments: object) -> None:
    """Start a run and kill it, without a chance to clean up, once its log has so many lines."""
    log = folder / "trials.jsonl"
    killed_once(folder, lambda: log.exists() and log.read_text().count("\n") >= lines, *arguments)


def killed_once(folder: Path, there: Callable[[], bool], *arguments: object) -> None:
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder.parent,
        env={**os.environ, "TOY_SECONDS": "0.15"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the run did not get so far"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def paused(folder: Path) -> bool:
    log = folder / "trials.jsonl"
    return log.exists() and '"stopped"' in log.read_text()


def promoting(folder: Path) -> bool:
    """Whether a promotion is under way, or was."""
    return '"promoted"' in (folder / "study.journal").read_text()


def outcome(folder: Path) -> list[dict[str, Any]]:
    """What the trials are now, and their curves."""
    run = load_run(folder)
    trials = [{**trial.to_json(), "origin": "sampler"} for trial in run.trials]
    points = sorted(run.points, key=lambda point: point.key)
    curves = [{**point.to_json(), "seconds": None} for point in points]
    return [*without_times(trials), *curves]


def test_two_kills_change_nothing(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    killed = tmp_path / "killed"
    killed_once_it_holds(killed, 2, "run", space, *SERIAL, "--out", killed)
    killed_once_it_holds(killed, 6, "run", space, *SERIAL, "--out", killed, "--resume")
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", killed, "--resume"))
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", "whole"))
    resumed, whole = trial_lines(killed), trial_lines(tmp_path / "whole")
    assert [trial["number"] for trial in resumed] == list(range(12))
    for trial in resumed:  # an orphan is evaluated again, and says so
        trial["origin"] = "sampler"
    assert without_times(resumed) == without_times(whole)


def test_kills_while_trials_are_paused_and_promoted_change_nothing(tmp_path: Path) -> None:
    """What stopped and goes on does so after a kill as well, with the same result."""
    space = write_space(tmp_path, evaluator="toy_evaluator:learning", search=PROMOTING)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    run = ("run", space, "--executor", "serial", "--deterministic", "--out")
    passed(invsearch(tmp_path, *run, whole))
    assert (whole / "promotions.jsonl").exists()
    killed_once(killed, lambda: any(killed.glob("checkpoints/*")) and paused(killed), *run, killed)
    killed_once(killed, lambda: promoting(killed), *run, killed, "--resume")
    passed(invsearch(tmp_path, *run, killed, "--resume"))
    assert outcome(killed) == outcome(whole)
    assert not list(killed.glob("checkpoints/*"))


def test_interrupt_ends_with_130_and_can_be_resumed(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    process = subprocess.Popen(
        command("run", space, *SERIAL, "--out", "run"),
        cwd=tmp_path,
        env={**os.environ, "TOY_SECONDS": "0.15"},
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "run" / "trials.jsonl"
    while not log.exists() or not log.read_text():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "--resume" in errors.splitlines()[-1]
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", "run", "--resume"))
    assert len(trial_lines(tmp_path / "run")) == 12


def test_second_driver_is_kept_out(tmp_path: Path) -> None:
    """Two drivers in one folder would lose trials: the second is refused and names the first."""
    space = write_space(tmp_path)
    first = subprocess.Popen(
        command("run", space, *SERIAL, "--out", "run"),
        cwd=tmp_path,
        env={**os.environ, "TOY_SECONDS": "0.5"},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (tmp_path / "run" / "study.journal").exists():
            assert first.poll() is None
            time.sleep(0.01)
        result = invsearch(tmp_path, "run", space, *SERIAL, "--out", "run", "--resume")
    finally:
        first.kill()
        first.wait()
    assert result.returncode == 2
    assert "in use" in result.stderr
    assert str(first.pid) in result.stderr
