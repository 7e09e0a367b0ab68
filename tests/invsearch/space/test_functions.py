"""Importing what a space file names: one line when it cannot be done."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from invsearch.errors import InputError
from invsearch.space.functions import import_function


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_function_beside_the_space_file_is_imported(tmp_path: Path) -> None:
    (tmp_path / "evaluator_of_a_test.py").write_text("def score(values):\n    return {'x': 1}\n")
    assert import_function("evaluator_of_a_test:score", [tmp_path])({}) == {"x": 1}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("no_such_module_at_all:f", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("math:sqr", "math has no 'sqr' (did you mean 'sqrt'?)"),
        ("math:pi", "'math:pi' is no function but of type float"),
        ("broken_syntax_of_a_test:f", "SyntaxError"),
        ("raises_in_a_test:f", "raises_in_a_test:f' cannot be imported: ValueError: two lines"),
        ("exits_in_a_test:f", "SystemExit: 3"),
    ],
)
def test_what_cannot_be_imported_is_one_line(tmp_path: Path, reference: str, expected: str) -> None:
    (tmp_path / "broken_syntax_of_a_test.py").write_text("def f(:\n")
    (tmp_path / "raises_in_a_test.py").write_text("raise ValueError('two\\nlines')\n")
    (tmp_path / "exits_in_a_test.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(InputError) as caught:
        import_function(reference, [tmp_path])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
