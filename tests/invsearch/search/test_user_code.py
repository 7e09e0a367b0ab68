"""Nothing in user code ends or blocks a run: every way to end is a failed trial, and no more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import hostile
import pytest
from toy import invsearch, passed, trial_lines

from invsearch import load_run


def write_hostile(folder: Path, names: list[str], **search: Any) -> Path:
    """A space with a trial for each of some behaviours."""
    shutil.copy(hostile.__file__, folder / "hostile.py")
    path = folder / "space.yaml"
    document = {
        "name": "hostile",
        "objectives": {"error": "minimize"},
        "params": {"how": {"choice": names}},
        "evaluator": "hostile:evaluate",
        "search": {"strategy": "exhaustive", "trials": len(names), **search},
    }
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search in a process of its own in which an evaluator does everything."""
    folder = tmp_path_factory.mktemp("hostile")
    names = [*hostile.FAILING, *hostile.CHANGING]
    space = write_hostile(folder, names)
    done = passed(invsearch(folder, "run", space, "--executor", "serial", TOY="1"))
    assert "trial 0 failed" in done.stderr
    assert "next: invsearch report" in done.stdout
    return folder / "results" / "hostile"


def by_name(run: Path) -> dict[str, dict[str, Any]]:
    return {trial["architecture"]["how"]: trial for trial in trial_lines(run)}


def test_every_trial_is_there_once(hostile_run: Path) -> None:
    """Also where a child that was forked came back."""
    trials = trial_lines(hostile_run)
    assert [trial["number"] for trial in trials] == list(range(len(trials)))
    assert len(trials) == len(hostile.FAILING) + len(hostile.CHANGING)


@pytest.mark.parametrize("name", hostile.FAILING)
def test_every_ending_is_a_failed_trial_with_its_reason(hostile_run: Path, name: str) -> None:
    trial = by_name(hostile_run)[name]
    assert trial["state"] == "failed"
    reason = trial["error"].partition("\n")[0]
    assert reason.isprintable()
    assert 5 < len(reason) < 700


@pytest.mark.parametrize("name", hostile.CHANGING)
def test_what_one_trial_changes_the_next_does_not_meet(hostile_run: Path, name: str) -> None:
    trial = by_name(hostile_run)[name]
    assert trial["state"] == "complete", trial["error"]
    assert trial["architecture"] == {"how": name}


def test_reasons_say_what_happened(hostile_run: Path) -> None:
    reasons = {name: trial["error"] or "" for name, trial in by_name(hostile_run).items()}
    words = {
        "exit": "SystemExit: 0",
        "exit_words": "enough",
        "interrupt": "KeyboardInterrupt",
        "unspeakable": "UnspeakableError: (its message cannot be shown: RuntimeError)",
        "surrogate": r"caf\udce9",
        "controls": r"a\x00b\x1b[31mc d e",
        "long": "2,000,012 characters in all",
        "memory": "out of memory",
        "coroutine": "returned coroutine",
        "complex": "not a number",
        "text": "not a number",
        "huge": "not a number",
        "missing": "error was not evaluated",
        "upside_down": "low <= value <= high",
        "unknown_key": "did you mean 'high'?",
    }
    for name, word in words.items():
        assert word in reasons[name], name


def test_the_traceback_is_kept_in_a_file_that_the_trial_names(hostile_run: Path) -> None:
    trial = by_name(hostile_run)["base"]
    line, _, place = trial["error"].partition("\ntraceback: ")
    assert line == "BaseException: bottom"
    text = (hostile_run / place).read_text()
    assert "in raise_" in text
    assert text.rstrip().endswith("BaseException: bottom")
    assert all(path.stat().st_size < 200_000 for path in (hostile_run / "errors").iterdir())
    assert "traceback" not in by_name(hostile_run)["text"]["error"], "our own words say it all"


def test_the_run_is_read_and_resumed_as_any_other(hostile_run: Path, tmp_path: Path) -> None:
    assert len(load_run(hostile_run).trials) == len(trial_lines(hostile_run))
    space = hostile_run.parent.parent / "space.yaml"
    again = ("run", space, "--executor", "serial", "--resume", "--out", hostile_run)
    passed(invsearch(hostile_run.parent.parent, *again))
