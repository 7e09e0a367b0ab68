"""The committed comparison of strategies is what the page and the README show."""

from __future__ import annotations

import json
import re
from pathlib import Path

from invsearch.report.contests import find_contests

ROOT = Path(__file__).parents[3]


def test_committed_comparisons_are_drawn() -> None:
    contests = find_contests(ROOT / "results")
    assert sorted(len(contest.rows) for contest in contests) == [4, 7, 22, 24]
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


def test_docs_show_the_duels_of_the_committed_structures() -> None:
    page = (ROOT / "docs" / "sampler.md").read_text()
    files = {100: "structures-100", 300: "structures"}
    for rival, name in [
        ("tpe", "TPE (multivariate)"),
        ("nsga2", "NSGA-II"),
        ("evolution", "evolution"),
        ("random", "random"),
        ("gp", "Optuna's GPSampler"),
    ]:
        cells = []
        for trials, file in files.items():
            duels = json.loads((ROOT / "results" / f"{file}.json").read_text())["duels"]
            verdicts = [d["verdict"] for d in duels if (d["rival"], d["trials"]) == (rival, trials)]
            counts = ", ".join(str(verdicts.count(one)) for one in ("win", "tie", "loss"))
            cells.append(counts if verdicts else "not run")
        assert f"| {name} | {' | '.join(cells)} |" in page
