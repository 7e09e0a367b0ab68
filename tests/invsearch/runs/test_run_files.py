"""Durable writing: strict JSON, atomic files, torn ends."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from invsearch.errors import InputError
from invsearch.runs.files import append_lines, dump_json, write_atomic
from invsearch.runs.lines import read_lines


def test_json_never_holds_nan_or_infinity() -> None:
    """Other programs read the files; NaN is no JSON."""
    data = {"a": math.nan, "b": [math.inf, 1.5], "c": (np.float32(0.5), np.int64(3))}
    assert json.loads(dump_json(data)) == {"a": None, "b": [None, 1.5], "c": [0.5, 3]}


def test_atomic_write_replaces_whole_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    """A reader sees the old text or the new; no temporary file stays behind."""
    path = tmp_path / "front.csv"
    write_atomic(path, "old\n")
    write_atomic(path, "new\n")
    assert path.read_text() == "new\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["front.csv"]


def test_failed_atomic_write_keeps_the_old_file(tmp_path: Path) -> None:
    """Text that cannot be written must not cost the text that is there."""
    path = tmp_path / "front.csv"
    write_atomic(path, "old\n")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text() == "old\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_append_lines_refuses_a_line_end(tmp_path: Path) -> None:
    """One record is one line."""
    with pytest.raises(ValueError, match="line end"):
        append_lines(tmp_path / "trials.jsonl", "a\nb")


def test_every_cut_of_a_log_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    """A kill may stop the last write after any byte: no cut is an error and none loses a line."""
    path = tmp_path / "log.jsonl"
    whole = b'{"n": 0}\n{"n": 1, "t": "\xc3\xa9"}\n'
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        log = read_lines(path, lambda data: data["n"])
        lines = whole[:length].count(b"\n")
        assert log.records == tuple(range(lines))
        assert (log.notice is None) == (length in (0, 9, len(whole)))


@pytest.mark.parametrize("line", [b"{", b"", b"\xff", b'{"n": NaN}', b"\x00\x00"])
def test_a_bad_last_line_is_torn_and_any_other_is_damage(tmp_path: Path, line: bytes) -> None:
    """Damage in the middle must never be skipped over."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"n": 0}\n' + line + b"\n")
    log = read_lines(path, lambda data: data["n"])
    assert log.records == (0,)
    assert log.notice is not None
    assert "log.jsonl:2" in log.notice
    path.write_bytes(b'{"n": 0}\n' + line + b'\n{"n": 2}\n')
    with pytest.raises(InputError, match=r"log\.jsonl:2: "):
        read_lines(path, lambda data: data["n"])
