"""The benchmark of long searches measures what a search does."""

from __future__ import annotations

from pathlib import Path

from invsearch.bench.scale.measures import Row, writing


def test_a_row_keeps_its_limit_or_says_that_nothing_is_known() -> None:
    assert Row("a", 2.0, 2).kept is True
    assert Row("a", 2.1, 2).kept is False
    assert Row("a", None, 2).kept is None
    assert Row("a", 2.0).kept is None
    assert "not measured" in str(Row("a", None, 2))


def test_waits_for_the_disk_are_counted_in_a_real_run(tmp_path: Path) -> None:
    row = next(writing(60, tmp_path))
    assert row.value == 2.0
    assert row.kept
    assert (tmp_path / "few3" / "trials.jsonl").read_text().count("\n") == 60
