"""The simulator: the laws of its clock, and that its searches are the real ones."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from toy import invsearch, one_line, passed, trial_lines, write_space

from invsearch.runs import RunFolder, load_run
from invsearch.search.executors.serial import run_serial
from invsearch.search.session import Session
from invsearch.simulate.earlier import EarlierRun
from invsearch.simulate.events import Timeline, run_simulated
from invsearch.simulate.problem import SimulatedProblem, TabularBenchmark
from invsearch.testing.curves import EPOCHS, Curves

SECONDS = 60.0


def simulated(folder: Path, *arguments: object) -> dict[str, Any]:
    result = passed(invsearch(folder, "simulate", *arguments, "--json"))
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def session_of(problem: Any, folder: Path, trials: int, capacity: int, **more: Any) -> Session:
    folder.mkdir()
    return Session(
        problem, RunFolder(folder), environment="", trials=trials, capacity=capacity, **more
    )


def halved(problem: Curves, folder: Path, workers: int = 1) -> tuple[Session, Timeline]:
    """A simulated search with rungs."""
    stage = SimulatedProblem(problem, TabularBenchmark(problem))
    session = session_of(stage, folder, 24, workers)
    return session, run_simulated(session, stage, lambda proposal: SECONDS)


@pytest.mark.parametrize(("workers", "rounds"), [(1, 13), (3, 5), (13, 1), (1000, 1)])
def test_equal_trials_run_in_rounds(tmp_path: Path, workers: int, rounds: int) -> None:
    """So many rounds as the budget holds workers, and the same work whatever their number."""
    space = write_space(tmp_path)
    common = ("--seconds-per-trial", SECONDS, "--trials", 13, "--seeds", 1)
    (row,) = simulated(tmp_path, space, "--workers", workers, *common)["rows"]
    assert row["wall_clock_s"] == pytest.approx(rounds * SECONDS)
    assert row["device_hours"] == pytest.approx(13 * SECONDS / 3600)
    assert row["rented_device_hours"] == pytest.approx(workers * rounds * SECONDS / 3600)


def test_a_busy_driver_hands_out_one_trial_after_another(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    common = ("--seconds-per-trial", SECONDS, "--trials", 12, "--seeds", 1, "--workers", 64)
    (row,) = simulated(tmp_path, space, *common, "--seconds-per-ask", 2)["rows"]
    assert row["wall_clock_s"] == pytest.approx(12 * 2 + SECONDS)
    assert row["device_hours"] == pytest.approx(12 * SECONDS / 3600)


def test_workers_start_once(tmp_path: Path) -> None:
    """Four workers take 100 s to start; their second and third trials begin at once."""
    space = write_space(tmp_path)
    common = ("--seconds-per-trial", SECONDS, "--trials", 12, "--seeds", 1, "--workers", 4)
    (row,) = simulated(tmp_path, space, *common, "--seconds-to-start", 100)["rows"]
    assert row["wall_clock_s"] == pytest.approx(100 + 3 * SECONDS)
    assert row["device_hours"] == pytest.approx(12 * SECONDS / 3600)


def test_durations_are_within_their_range_and_repeat(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    common = (space, "--workers", "1,2", "--seconds-per-trial", "30..90", "--trials", 12)
    first, again = (simulated(tmp_path, *common) for _ in range(2))
    assert first == again
    for curve in first["rows"][0]["curves"]:
        ends = [0.0, *curve["wall_clock_s"]]
        taken = [after - before for before, after in itertools.pairwise(ends)]
        assert all(30 <= seconds <= 90 for seconds in taken)
        assert len({round(seconds, 2) for seconds in taken}) == 12


def test_more_workers_are_sooner_and_know_less(tmp_path: Path) -> None:
    """18 architectures: all of them are the whole hypervolume, for any number of workers."""
    space = write_space(tmp_path, costs="toy_evaluator:costs")
    common = ("--seconds-per-trial", 10, "--trials", 18)
    rows = simulated(tmp_path, space, "--workers", "1,2,6,18", *common)["rows"]
    assert [row["workers"] for row in rows] == [1, 2, 6, 18]
    times = [row["wall_clock_s"] for row in rows]
    assert times == sorted(times, reverse=True)
    for row in rows:
        assert row["hypervolume"] == pytest.approx(1)
        for curve in row["curves"]:
            assert curve["hypervolume"] == sorted(curve["hypervolume"])


@pytest.mark.parametrize("extra", [(), ("--deterministic",)], ids=["one by one", "batches"])
def test_the_simulated_search_is_the_real_one(tmp_path: Path, extra: tuple[str, ...]) -> None:
    """One worker proposes, trial by trial, what the serial executor does: the same curve."""
    space = write_space(tmp_path, search="{trials: 12, seed: 1, parallel: 4}")
    passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--out", "real", *extra))
    common = ("--seconds-per-trial", 1, "--seeds", 1, *extra)
    workers = 4 if extra else 1
    (row,) = simulated(tmp_path, space, "--workers", workers, *common)["rows"]
    (curve,) = row["curves"]
    assert curve["hypervolume"] == pytest.approx(shares(trial_lines(tmp_path / "real")), abs=1e-6)


def shares(trials: list[dict[str, Any]]) -> list[float]:
    """What real trials found of the toy space's hypervolume, by a count over its 18 points."""
    from toy import EVALUATOR

    names: dict[str, Any] = {}
    exec(EVALUATOR, names)
    every = [names["evaluate"]({"x": x, "kind": kind}) for x in range(1, 10) for kind in "ab"]
    whole = [(point["error"], point["size"]) for point in every]
    corner = tuple(max(axis) for axis in zip(*whole, strict=True))
    found = [tuple(t["metrics"][n]["value"] for n in ("error", "size")) for t in trials]
    return [
        dominated(found[: count + 1], corner) / dominated(whole, corner)
        for count in range(len(found))
    ]


def dominated(points: list[Any], corner: tuple[float, ...]) -> float:
    area, level = 0.0, corner[1]
    for x, y in sorted(points):
        if y < level:
            area += (corner[0] - x) * (level - y)
            level = y
    return area


def test_halving_is_the_real_one(tmp_path: Path) -> None:
    """The same trials stop as in this process, and a stopped one frees its worker early."""
    problem = Curves(tmp_path, rungs=(1, 3), strategy="random")
    session, timeline = halved(problem, tmp_path / "simulated")
    real = session_of(problem, tmp_path / "real", 24, 1)
    run_serial(real)
    assert [t.state for t in session.trials] == [t.state for t in real.trials]
    assert [t.architecture for t in session.trials] == [t.architecture for t in real.trials]
    states = {trial.state for trial in session.trials}
    assert states == {"complete", "stopped"}
    for trial in session.trials:
        epochs = EPOCHS
        if trial.state == "stopped":
            fidelity = trial.metrics["error"].fidelity
            assert fidelity is not None
            epochs = fidelity.epochs
        assert timeline.worked_s[trial.number] == pytest.approx(SECONDS * epochs / EPOCHS)


def test_workers_are_never_more_than_there_are(tmp_path: Path) -> None:
    """With rungs, so that trials end at any moment: at most three overlap, and none idles."""
    problem = Curves(tmp_path, rungs=(1, 3), strategy="random")
    _, timeline = halved(problem, tmp_path / "simulated", workers=3)
    spans = [(end - timeline.worked_s[n], end) for n, end in timeline.ended_s.items()]
    for moment in sorted(start for start, _ in spans):
        assert sum(start <= moment < end for start, end in spans) <= 3
    finished = max(end for _, end in spans)
    assert math.fsum(timeline.worked_s.values()) >= 3 * (finished - SECONDS)


def test_an_earlier_run_is_its_own_table(tmp_path: Path) -> None:
    """Trials that it holds come out as they went, rungs included; others are near the truth."""
    problem = Curves(tmp_path, rungs=(1, 3), strategy="random")
    real = session_of(problem, tmp_path / "real", 60, 3)
    run_serial(real)
    real.close()
    (tmp_path / "real" / "space.yaml").write_text(problem.file.text)
    table = EarlierRun(problem, load_run(tmp_path / "real"))
    complete = [trial for trial in real.trials if trial.state == "complete"]
    for trial in complete:
        course = table.course(trial.architecture, trial.seed)
        assert course[-1][1].metrics["error"].value == trial.metrics["error"].value
        assert [share for share, _ in course] == pytest.approx([1 / EPOCHS, 3 / EPOCHS, 1.0])
    seen = {trial.architecture for trial in real.trials}
    unseen = [point for point in problem.space.enumerate() if point not in seen]
    off = [
        abs(math.log(table.course(p, 0)[-1][1].metrics["error"].value / problem.row(p)[0]))
        for p in unseen
    ]
    assert sorted(off)[len(off) // 2] < 0.15, "an additive table is learnt from 60 trials"
    again = session_of(SimulatedProblem(problem, table), tmp_path / "again", 60, 3)
    run_simulated(again, SimulatedProblem(problem, table), table.durations.of)
    assert {trial.state for trial in again.trials} == {"complete", "stopped"}


def test_a_run_folder_is_simulated_with_its_own_times(tmp_path: Path) -> None:
    space = write_space(tmp_path, costs="toy_evaluator:costs")
    passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--trials", 16))
    found = simulated(tmp_path, "results/toy", "--workers", "1,4", "--trials", 10)
    assert "results/toy" in found["table"]
    assert found["seconds_per_trial"] == "as in the earlier run"
    assert all(row["wall_clock_s"] > 0 for row in found["rows"])


def test_trials_that_fail_take_their_time(tmp_path: Path) -> None:
    space = write_space(tmp_path, evaluator="toy_evaluator:troubled")
    common = ("--workers", 2, "--seconds-per-trial", 10, "--trials", 18, "--seeds", 1)
    (row,) = simulated(tmp_path, space, *common)["rows"]
    assert row["wall_clock_s"] == pytest.approx(90)
    assert row["hypervolume"] == pytest.approx(1), "of what can be evaluated"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("toy.yaml", "--workers", "0", "--seconds-per-trial", "1"), ("--workers", "'0'")),
        (("toy.yaml", "--workers", "8,", "--seconds-per-trial", "1"), ("--workers",)),
        (("toy.yaml", "--workers", "2.5", "--seconds-per-trial", "1"), ("'2.5'",)),
        (("toy.yaml", "--workers", "8", "--seconds-per-trial", "-1"), ("'-1'", "LOW..HIGH")),
        (("toy.yaml", "--workers", "8", "--seconds-per-trial", "9..3"), ("'9..3'",)),
        (("toy.yaml", "--workers", "8", "--seconds-per-trial", "nan"), ("'nan'",)),
        (("toy.yaml", "--workers", "8"), ("--seconds-per-trial",)),
        (("quick", "--workers", "8", "--seconds-per-trial", "1"), ("earlier run",)),
        ((".", "--workers", "8", "--seconds-per-trial", "1"), ("no run",)),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: Any, words: tuple[str, ...]) -> None:
    write_space(tmp_path)
    one_line(invsearch(tmp_path, "simulate", *arguments), *words)


def test_a_run_too_short_to_go_by_is_one_line(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--trials", 5))
    one_line(invsearch(tmp_path, "simulate", "results/toy", "--workers", 8), "5 complete", "8")


def test_nas_bench_macro(tmp_path: Path, shared: Path) -> None:
    """A hundred trials by 8 and by 64 workers, against the whole table."""
    common = ("--seconds-per-trial", SECONDS, "--seeds", 1, "--trials", 64, "--json")
    arguments = ("simulate", "nas-bench-macro", "--workers", "8,64", *common)
    result = passed(invsearch(tmp_path, *arguments, INVSEARCH_SHARED=str(shared)))
    few, many = json.loads(result.stdout)["rows"]
    assert (few["wall_clock_s"], many["wall_clock_s"]) == (8 * SECONDS, SECONDS)
    assert 0.8 < many["hypervolume"] < few["hypervolume"] < 1
