"""A run cut at any record of its journal, and resumed, ends as the whole run did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from curves import Curves, session
from toy import trial_lines, without_times

from invsearch.search.executors.serial import run_serial
from invsearch.search.journal import mend_journal

TRIALS = 10


def finished(folder: Path, **search: object) -> list[dict[str, Any]]:
    """The trials of a run that goes on to its end; a retry counts as what it repeats."""
    problem = Curves(folder.parent, limit=16.0, rungs=(1, 3), **search)
    folder.mkdir(exist_ok=True)
    run = session(problem, folder, TRIALS)
    run_serial(run)
    run.close()
    trials = sorted(trial_lines(folder), key=lambda trial: trial["number"])
    return without_times([{**trial, "origin": "sampler"} for trial in trials])


@pytest.mark.parametrize("strategy", ["cost_aware", "random", "nsga2", "exhaustive"])
def test_a_kill_at_any_record_changes_nothing(tmp_path: Path, strategy: str) -> None:
    """Between two asks of a batch, within one, between a rung and the end: all the same."""
    whole = finished(tmp_path / "whole", strategy=strategy)
    states = {trial["state"] for trial in whole}
    assert "stopped" in states
    assert strategy != "random" or "infeasible" in states
    journal = (tmp_path / "whole" / "study.journal").read_bytes().splitlines(keepends=True)
    for cut in range(3, len(journal), 5):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        torn = journal[cut][: cut % 2 * 20]
        (folder / "study.journal").write_bytes(b"".join([*journal[:cut], torn]))
        assert finished(folder, strategy=strategy) == whole, f"cut after {cut} records"


def test_journal_loses_the_ask_that_was_cut_short_alone(tmp_path: Path) -> None:
    """Asked trials and a finished ask stay; a damaged line inside is left for Optuna to name."""
    path = tmp_path / "journal"
    asked = [
        {"op_code": 4, "study_id": 0},
        {"op_code": 5, "trial_id": 0},
        {"op_code": 8, "trial_id": 0, "user_attr": {"number": 0}},
    ]
    waiting = [{"op_code": 4, "study_id": 0, "state": 4}, {"op_code": 8, "trial_id": 0}]
    begun = [{"op_code": 6, "trial_id": 1, "state": 0}, {"op_code": 5, "trial_id": 1}]
    rejected = {"op_code": 6, "trial_id": 1, "state": 3}

    def mended(*records: dict[str, Any]) -> int:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        mend_journal(path, "number")
        return path.read_bytes().count(b"\n")

    assert mended(*asked) == 3
    assert mended(*asked[:2]) == 0
    assert mended(*asked, *waiting) == 5
    assert mended(*asked, *waiting, *begun) == 5
    assert mended(*asked, *waiting, *begun, rejected) == 8
    path.write_text('{"op_code": 4}\ngarbage\n')
    mend_journal(path, "number")
    assert "garbage" in path.read_text()
