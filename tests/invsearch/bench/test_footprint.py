"""What is said to take room does, and what Python compiles of it is not counted."""

from pathlib import Path

from invsearch.bench.footprint import size_bytes


def test_sizes_are_of_files_and_not_of_what_python_makes(tmp_path: Path) -> None:
    (tmp_path / "deep" / "__pycache__").mkdir(parents=True)
    (tmp_path / "a.py").write_bytes(b"x" * 10)
    (tmp_path / "deep" / "b.so").write_bytes(b"x" * 5)
    (tmp_path / "deep" / "__pycache__" / "b.pyc").write_bytes(b"x" * 100)
    assert size_bytes(tmp_path) == 15
