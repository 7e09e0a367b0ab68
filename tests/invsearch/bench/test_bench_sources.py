"""Sources measured on a space: what is known is not trained again, and rows are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy import invsearch, one_line, passed, write_space

from invsearch.accuracy.told import Line
from invsearch.accuracy.worth import rows_of, useless
from invsearch.bench.sources import Settings, measure_sources
from invsearch.errors import InputError
from invsearch.plugins import PROXIES
from invsearch.space import SpaceFile, load_space_file

TINY = ["accuracy.epochs=1", "accuracy.data_fraction=0.1", "space.width={choice: [0.25, 0.5]}"]


def space() -> SpaceFile:
    return load_space_file("quick", TINY)


def test_a_kill_costs_the_training_under_way(tmp_path: Path) -> None:
    """The file cut at any line, and within one, goes on to the same rows and trains the rest."""
    settings = Settings(4, 2, tmp_path)
    whole = measure_sources(space(), settings).as_dict([])
    path = tmp_path / "sources.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]) + lines[-2][:20])
    again = measure_sources(space(), settings).as_dict([])
    assert len(path.read_bytes().splitlines()) == len(lines)
    for one, other in zip(whole["rows"], again["rows"], strict=True):
        assert one.pop("cpu_seconds") > 0
        other.pop("cpu_seconds")
        assert one == other
    with pytest.raises(InputError, match="another space"):
        measure_sources(load_space_file("quick", TINY[:2]), settings)


def test_command_prints_a_row_a_source(tmp_path: Path) -> None:
    sets = [part for one in TINY for part in ("--set", one)]
    asked = ("--networks", 3, "--seeds", 2, "--out", "kept", "--json")
    result = passed(invsearch(tmp_path, "bench", "sources", "quick", *asked, *sets))
    rows = {row["source"]: row for row in json.loads(result.stdout)["rows"]}
    assert {"params", "macs", "blocks", "naswot", "jacobian_covariance", "trained"} <= set(rows)
    assert set(PROXIES.ours()) - set(rows) == {"operator_shares"}
    assert {"source", "tau", "low", "high", "cpu_seconds"} <= set(rows["params"])


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    write_space(tmp_path)
    one_line(invsearch(tmp_path, "bench", "sources", "toy.yaml"), "no objective is trained")
    one_line(invsearch(tmp_path, "bench", "sources"), "SPACE")
    one_line(invsearch(tmp_path, "bench", "involution", "--seeds", 2), "--seeds")


def test_rows_are_of_means_and_what_cannot_tell_is_left_out() -> None:
    """Networks a to f, losses 1 to 6; a proxy that knows all but one, and one that is reversed."""
    params = {name: float(2**place) for place, name in enumerate("cafbed")}
    lines = []
    for loss, name in enumerate("abcdef", start=1):
        for seed in (0, 1):
            lines.append(Line(name, "trained", seed, {"val_loss": loss + 0.4 * seed}, 2.0))
        lines.append(Line(name, "params", 0, {"params": params[name]}, 0.1))
        lines.append(Line(name, "wise", 0, {} if name == "c" else {"wise": -loss}, 0.1))
        lines.append(Line(name, "wrong", 0, {"wrong": float(loss)}, 0.1))
        lines.append(Line(name, "supernet", 0, {"error": 10.0 * loss, "val_loss": 7.0 - loss}, 1.0))
    rows = rows_of(lines, "val_loss", "minimize", params)
    found = {row.source: row for row in rows}
    taus = {name: row.found.tau for name, row in found.items() if name != "params"}
    wanted = {"wise": 1, "wrong": -1, "trained": 1, "supernet": 1, "supernet/val_loss": -1}
    assert taus == {name: pytest.approx(tau) for name, tau in wanted.items()}
    assert found["wise"].told == 5
    assert found["trained"].cpu_seconds == 2
    assert [row.source for row in rows if useless(row, rows)] == ["wrong", "supernet/val_loss"]
