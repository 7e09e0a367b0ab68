"""A file or folder with the name of one of our packages is named in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from toy import invsearch, one_line, passed, write_space


@pytest.mark.parametrize("name", ["ops.py", "ops/__init__.py"])
def test_beside_the_users_code(tmp_path: Path, name: str) -> None:
    """In the current folder, where a process of its own finds it before ours."""
    write_space(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine = 1\n")
    result = invsearch(tmp_path, "run", "toy.yaml", "--executor", "serial", TOY="1")
    one_line(result, str(path), "rename it")


@pytest.mark.parametrize("name", ["ops.py", "invsearch.py"])
def test_beside_the_space_file(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    write_space(folder)
    (folder / name).write_text("mine = 1\n")
    one_line(invsearch(tmp_path, "run", "sub/toy.yaml", "--executor", "serial"), name, "hides")
    assert str(folder) not in sys.path


def test_a_bare_folder_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    passed(invsearch(tmp_path, "explain", "quick", "--json", TOY="1"))
