"""A fresh process: its answer, its reason, and the way to what this process can import."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.timing.fresh_process import Answer, ask_fresh_process

SOURCE = """
import os, sys
print("noise")
if sys.argv[1:] == ["fail"]:
    print("  the reason", file=sys.stderr)
    sys.exit(3)
if sys.argv[1:] == ["die"]:
    os.kill(os.getpid(), 9)
print(sys.stdin.read() + os.environ.get("EXTRA", ""))
"""


def test_it_answers_in_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from a folder that only this process has on its path."""
    (tmp_path / "answering.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = ask_fresh_process("answering", text="yes", environment={"EXTRA": "!"})
    assert asked == Answer(0, "yes!")
    assert ask_fresh_process("answering", "fail") == Answer(3, reason="the reason")
    assert ask_fresh_process("answering", "die") == Answer(-9, reason="ended by signal 9")
    assert "No module named" in ask_fresh_process("no_such_module").reason
