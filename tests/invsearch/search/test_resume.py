"""The journal of a run after a kill; what a resumed search does is in the strategies' suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from invsearch.search.journal import mend_journal


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
