"""curves.jsonl: what a kill may and may not do to it, and what it is read as."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from invsearch import load_run
from invsearch.errors import InputError
from invsearch.metrics import Fidelity
from invsearch.runs import RunFolder
from invsearch.runs.curves import CurvePoint

SPACE = "name: demo\nobjectives: {error: minimize, macs: minimize}\n"


def point(trial: int, step: int, loss: float = 1.0, seed: int = 7) -> CurvePoint:
    return CurvePoint(trial, seed, step, {"train_loss": loss}, 0.5, Fidelity(step, 9, 8))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "demo")
    made.create(SPACE, None, {"id": "abc"})
    return made


def test_points_come_back_and_a_step_taken_again_is_there_once(folder: RunFolder) -> None:
    """As it was the first time, whether the same process writes it again or the next one."""
    folder.curves.append([point(0, 1), point(0, 2, 0.5), point(0, 1, seed=8)])
    folder.curves.append([point(0, 2, 99.0), point(0, 3)])
    RunFolder(folder.path).curves.append([point(0, 3, 99.0), point(1, 1)])
    wanted = [point(0, 1), point(0, 2, 0.5), point(0, 1, seed=8), point(0, 3), point(1, 1)]
    assert RunFolder(folder.path).curves.read() == wanted
    assert folder.curves_path.read_text().count("\n") == 5


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_torn_last_line_is_dropped_and_written_again(folder: RunFolder, cut: int) -> None:
    folder.curves.append([point(0, 1), point(0, 2)])
    whole = folder.curves_path.read_bytes()
    folder.curves_path.write_bytes(whole[:-cut])
    after = RunFolder(folder.path)
    assert after.curves.read() == [point(0, 1)]
    after.curves.append([point(0, 2)])
    assert folder.curves_path.read_bytes() == whole


def test_damage_elsewhere_is_named(folder: RunFolder) -> None:
    folder.curves.append([point(0, 1), point(0, 2)])
    lines = folder.curves_path.read_text().splitlines()
    folder.curves_path.write_text("\n".join(["{not json", *lines]) + "\n")
    with pytest.raises(InputError, match=r"curves\.jsonl:1"):
        folder.curves.read()
    folder.curves_path.write_text(lines[0].replace('"step": 1', '"step": -1') + "\n" + lines[1])
    with pytest.raises(InputError, match="step is -1"):
        folder.curves.read()
    folder.curves_path.write_text(lines[0].replace('"schema": 1', '"schema": 99') + "\n")
    with pytest.raises(InputError, match="newer version"):
        folder.curves.read()


def test_what_is_not_finite_is_left_out(folder: RunFolder) -> None:
    folder.curves.append([CurvePoint(0, 7, 1, {"val_loss": math.nan, "error": 3.0})])
    assert folder.curves.read() == [CurvePoint(0, 7, 1, {"error": 3.0})]


def test_curves_as_a_table(folder: RunFolder) -> None:
    """A row per step, in order; what a step did not bring is NaN; an old folder has no rows."""
    assert load_run(folder.path).curves().empty
    validated = CurvePoint(0, 7, 2, {"val_loss": 0.5}, None, Fidelity(2, 9, 8, width=0.25))
    folder.curves.append([point(3, 1), validated, point(0, 1)])
    table = load_run(folder.path).curves()
    assert list(table.columns) == [
        *("trial", "seed", "step", "seconds"),
        *("max_epochs", "resolution", "width", "data_fraction"),
        *("train_loss", "val_loss"),
    ]
    assert table[["trial", "step"]].to_numpy().tolist() == [[0, 1], [0, 2], [3, 1]]
    assert table["val_loss"].isna().tolist() == [True, False, True]
    assert table["width"].tolist() == [1.0, 0.25, 1.0]
