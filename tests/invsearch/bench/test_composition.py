"""Blocks against whole networks: what each way is told, how it is judged, and a small real run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from invsearch.bench.composition import Whole, accuracy_of, foretold, main

SMALL = (
    "model.resolution=32",
    "space.stem={choice: [convolution]}",
    "space.depth={choice: [custom]}",
    "space.width={choice: [0.25]}",
    "space.stage.blocks={choice: [1]}",
    "space.stage.kernel_size={choice: [3, 5]}",
    "space.stage.group_channels={choice: [16]}",
    "space.stage.reduction={choice: [4]}",
)


def wholes(count: int, *, involution: float) -> list[Whole]:
    """Networks that take 1.2 times their convolutions, another factor of involutions, and 1 ms."""
    rng = np.random.default_rng(0)
    drawn = rng.uniform(1.0, 10.0, size=(count, 2))
    return [
        Whole({"convolution": a, "involution": b}, 8, 1.2 * a + involution * b + 1.0)
        for a, b in drawn.tolist()
    ]


def test_where_one_ratio_holds_every_fit_finds_it() -> None:
    made = wholes(20, involution=1.2)
    said = foretold(made, [(one.sum_ms, one.measured_ms) for one in wholes(8, involution=1.2)])
    true = [one.measured_ms for one in made]
    for way in ("fit", "fit to the others", "ridge on the others"):
        np.testing.assert_allclose(said[way], true, rtol=1e-3)
    assert said["sum"] == [one.sum_ms for one in made]


def test_only_the_ridge_learns_a_ratio_for_each_operator_and_no_network_tells_itself() -> None:
    made = wholes(20, involution=2.0)
    told = [(one.sum_ms, one.measured_ms) for one in made[:8]]
    found = {
        way: accuracy_of(said, [one.measured_ms for one in made])["median_error"]["value"]
        for way, said in foretold(made, told).items()
    }
    assert found["ridge on the others"] < 0.01 < 0.04 < found["fit to the others"] < found["sum"]
    odd = [*made[:-1], Whole(made[-1].sums, 8, 1000.0)]
    before, after = (foretold(each, told)["ridge on the others"][-1] for each in (made, odd))
    assert before == pytest.approx(after), "it was told the network that it foretells"


def test_errors_and_tau_are_of_these_networks() -> None:
    found = accuracy_of([1.1, 2.0, 2.7, 4.0], [1.0, 2.0, 3.0, 4.0])
    assert found["median_error"]["value"] == pytest.approx(0.05)
    assert found["tau"]["value"] == 1.0
    assert accuracy_of([4.0, 3.0, 2.0], [1.0, 2.0, 3.0])["tau"]["value"] == -1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["nosuch"], "nosuch"),
        (["rednet", "--set", "model.resolutoin=32"], "resolutoin"),
        (["rednet", "--set", "model.resolution=nan"], "resolution"),
        (["rednet", "--runtime", "compield"], "compiled"),
        (["rednet", "-o", "."], "folder"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_measured(
    given: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main([*given, "--folder", "kept"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"setting": {}, "networks": {"a": "b"}}', "damaged"),
        ('{"setting": {"space": "quick", "set": []}, "networks": {}}', "another space"),
    ],
)
def test_what_was_kept_of_something_else_is_not_mixed_in(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torch.networks.json").write_text(text)
    output = str(tmp_path / "found.json")
    assert main(["rednet", "--runtime", "torch", "--folder", str(tmp_path), "-o", output]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "torch.networks.json" in line
    assert words in line


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    settings = [word for each in SMALL for word in ("--set", each)]
    command = [
        *("rednet", *settings, "--runtime", "torch", "--any-load"),
        *("--folder", str(tmp_path / "kept"), "-o", str(tmp_path / "found.json")),
    ]
    kept = tmp_path / "kept" / "torch.networks.json"
    assert main([*command, "--networks", "2"]) == 0
    first = json.loads(kept.read_text())["networks"]
    assert main([*command, "--networks", "3"]) == 0
    assert len(first) == 2
    assert first.items() < json.loads(kept.read_text())["networks"].items()
    (row,) = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert len(row["each"]) == 3
    assert all(0 < one["measured_ms"] < 4 * one["sum_ms"] for one in row["each"])
