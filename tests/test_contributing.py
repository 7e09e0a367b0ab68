"""CONTRIBUTING's table "to add a ...": what it names is there, and every row's kind has a proof.

The proofs that add one at run time:

- operators: docs/operators.md, executed by a test, and
  tests/invsearch/search/test_foreign_operator.py
- families: tests/invsearch/models/test_families.py
- strategies, executors and data sets: tests/invsearch/test_plugins.py
- providers of metrics: tests/invsearch/problem/test_providers.py
- sections: tests/invsearch/report/test_report_sections.py
- back ends: here
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import ops
from ops.involution import backends
from ops.involution.backends import torch_backend
from ops.involution.backends.base import Backend

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT[TEXT.index("| to add a") :].splitlines()[2:]
    if line.startswith("|")
]
PROOFS = re.findall(r"(?:tests|docs)/[\w/]+\.(?:py|md)", __doc__ or "")


def test_the_table_is_there() -> None:
    kinds = {row[0] for row in TABLE}
    assert {"operator", "family of networks", "strategy", "executor", "data set"} <= kinds
    assert {"provider of metrics", "section of the report", "back end of involution"} <= kinds


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_what_a_row_names_exists(row: list[str]) -> None:
    for path in re.findall(r"`((?:invsearch|ops)/[\w./<>]*)`", " ".join(row)):
        place = ROOT / path.replace("<name>.py", "")
        assert place.exists(), path
    for table, file in re.findall(r"`([A-Z]+)` of (?:its )?`([\w/.]+)`", row[2]):
        holders = [path for path in ROOT.rglob(file.split("/")[-1]) if str(path).endswith(file)]
        assert any(re.search(rf"^{table}\b", path.read_text(), re.MULTILINE) for path in holders)


@pytest.mark.parametrize("path", PROOFS)
def test_the_proofs_are_there(path: str) -> None:
    assert (ROOT / path).is_file()


def test_a_back_end_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def aggregate(x: torch.Tensor, kernel: torch.Tensor, geometry: object) -> torch.Tensor:
        calls.append("mine")
        return torch_backend.aggregate(x, kernel, geometry)  # type: ignore[arg-type]

    mine = Backend("mine", aggregate, torch_backend.grad_input, torch_backend.grad_kernel)
    monkeypatch.setattr(backends, "TABLE", (mine, *backends.TABLE))
    assert ops.backends()["mine"] == "available"
    x, kernel = torch.randn(1, 4, 5, 5), torch.randn(1, 2, 3, 3, 5, 5)
    y = ops.involution2d(x, kernel)
    assert calls == ["mine"]
    torch.testing.assert_close(y, ops.involution2d(x, kernel, backend="torch"))
    with pytest.raises(ValueError, match="mine"):
        ops.involution2d(x, kernel, backend="nobody's")
