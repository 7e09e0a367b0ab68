"""The committed comparison of strategies is what the page and the README show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from invsearch.report.contests import find_contests

ROOT = Path(__file__).parents[3]


def test_committed_comparisons_are_drawn() -> None:
    contests = find_contests(ROOT / "results")
    assert sorted(len(contest.rows) for contest in contests) == [2, 2, 4, 7, 24, 24, 24]
    for contest in contests:
        assert contest.strategies[0] == "cost_aware"
        assert "AMD EPYC" in contest.source or "Intel(R) Xeon(R)" in contest.source
        assert {len(cells) for _, cells in contest.rows} == {len(contest.strategies)}
        for trace in contest.figure.data:
            assert trace["y"] == sorted(trace["y"], reverse=True), "what is missing never grows"


def test_readme_shows_the_committed_comparison() -> None:
    """A number in the README comes from a run of this code."""
    document = json.loads((ROOT / "results" / "strategies.json").read_text())
    shown = re.findall(r"^\| (\d.*trials.*?) \| (.+) \|$", (ROOT / "README.md").read_text(), re.M)
    rows = {name: cells.replace("*", "").split(" | ") for name, cells in shown}
    names = list(dict.fromkeys(standing["strategy"] for standing in document["standings"]))
    assert len(rows) == 7
    for standing in document["standings"]:
        cell = rows[standing["contest"]][names.index(standing["strategy"])]
        assert cell == f"{standing['mean']:.4f}"[1:]


def test_committed_curves_of_a_contest_end_together() -> None:
    """Where results of two runs are put together, each keeps the trials that its shares are of."""
    for path in (ROOT / "results").glob("*.json"):
        document = json.loads(path.read_text())
        if document.get("kind") != "strategies":
            continue
        ends: dict[str, set[int]] = {}
        for one in document["standings"]:
            (count,) = {len(shares) for shares in one["shares"]}
            after = one.get("after", list(range(1, count + 1)))
            assert len(after) == count
            ends.setdefault(one["contest"], set()).add(after[-1])
        assert all(len(trials) == 1 for trials in ends.values()), (path, ends)


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"kind": "bench"}')
    (tmp_path / "half.json").write_text('{"kind": "strategies", "standings": []}')
    assert find_contests(tmp_path) == []


def verdicts(file: str, rival: str, trials: int) -> str:
    found = json.loads((ROOT / "results" / f"{file}.json").read_text())["duels"]
    these = [d["verdict"] for d in found if (d["rival"], d["trials"]) == (rival, trials)]
    counts = ", ".join(str(these.count(one)) for one in ("win", "tie", "loss"))
    return counts if these else "not run"


def test_docs_show_the_duels_of_the_committed_structures() -> None:
    page = (ROOT / "docs" / "sampler.md").read_text()
    columns = [("structures", 100), ("structures", 300), ("structures-draw-1", 100)]
    for rival, name in [
        ("tpe", "TPE (multivariate)"),
        ("nsga2", "NSGA-II"),
        ("evolution", "evolution"),
        ("random", "random"),
    ]:
        cells = [verdicts(file, rival, trials) for file, trials in columns]
        assert f"| {name} | {' | '.join(cells)} |" in page
    files = ("structures-100", "structures-operators-gp")  # the 24 spaces between them
    each = [map(int, verdicts(file, "gp", 100).split(", ")) for file in files]
    gp = ", ".join(str(sum(counts)) for counts in zip(*each, strict=True))
    assert f"| Optuna's GPSampler (two files, below) | {gp} | not run | not run |" in page


def test_searches_of_two_files_with_the_same_seeds_are_the_same() -> None:
    """What is found after 100 trials does not depend on how many are to come."""
    short, long = (
        json.loads((ROOT / "results" / f"{name}.json").read_text())["standings"]
        for name in ("structures-100", "structures")
    )
    found = {(one["contest"], one["strategy"]): one for one in long}
    compared = 0
    for one in short:
        other = found.get((one["contest"], one["strategy"]))
        for ours, theirs in zip(one["nadir_shares"], (other or one)["nadir_shares"], strict=True):
            here = dict(zip(one["after"], ours, strict=True))
            there = dict(zip((other or one)["after"], theirs, strict=True))
            assert all(abs(here[t] - there[t]) < 2e-5 for t in here.keys() & there.keys())
            compared += other is not None
    assert compared == 24 * 5 * 6


@pytest.mark.parametrize("rival", ["tpe", "nsga2"])
def test_after_300_trials_it_is_behind_where_the_docs_say(rival: str) -> None:
    """The law that the sampler is to keep, with the one exception that it has."""
    document = json.loads((ROOT / "results" / "structures.json").read_text())
    by = {(one["contest"], one["strategy"]): one for one in document["standings"]}
    behind = {
        (contest, key)
        for (contest, strategy), ours in by.items()
        for key in ("mean_nadir", "min_nadir")
        if strategy == "cost_aware" and ours[key] < by[contest, rival][key] - 1e-9
    }
    assert behind == ({("noisy_cell", "min_nadir")} if rival == "tpe" else set())
