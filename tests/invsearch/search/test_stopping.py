"""``search.stop``: hours over all resumes, a plateau of the hypervolume, and what is left."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from toy import invsearch, one_line, passed, trial_lines, write_space

from invsearch.evaluation import Outcome
from invsearch.metrics import Metric
from invsearch.problem import problem_of
from invsearch.runs import RunFolder
from invsearch.runs.trial import Trial
from invsearch.search.limits import Limits
from invsearch.search.remaining import remaining, remaining_s
from invsearch.search.session import Session
from invsearch.search.stopping import Stopping, spent_s
from invsearch.space import load_space_file
from invsearch.space.architecture import Architecture
from invsearch.space.schema import Plateau, Stop

OBJECTIVES = {"error": "minimize", "size": "minimize"}
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def trial(
    number: int, error: float, size: float, *, minutes: tuple[float, float] = (0, 0)
) -> Trial:
    times = [(BEGUN + timedelta(minutes=one)).isoformat() for one in minutes]
    values = {"error": error, "size": size}
    metrics = {name: Metric(name, value, "evaluated") for name, value in values.items()}
    here = Architecture((("x", number),))
    return Trial(number, "complete", here, metrics, started=times[0], finished=times[1])


def test_hours_are_those_in_which_something_was_evaluated() -> None:
    spans = [(0, 10), (5, 12), (6, 7), (30, 40)]
    trials = [trial(n, 1, 1, minutes=span) for n, span in enumerate(spans)]
    assert spent_s(trials) == 22 * 60
    assert spent_s(reversed(trials)) == 22 * 60
    assert spent_s([replace(trials[0], started="")]) == 0


def test_hours_of_earlier_resumes_count() -> None:
    stopping = Stopping(Stop(hours=1.0), OBJECTIVES)
    stopping.recall([trial(0, 1, 1, minutes=(0, 45))])
    assert stopping.left_s == 15 * 60
    assert stopping.reason is None
    stopping.recall([trial(0, 1, 1, minutes=(0, 60))])
    assert "search.stop.hours = 1" in str(stopping.reason)


def test_a_plateau_is_so_many_trials_that_add_too_little() -> None:
    stopping = Stopping(Stop(plateau=Plateau(trials=3, gain=0.05)), OBJECTIVES)
    for number, (error, size) in enumerate([(9, 9), (5, 5), (1, 9), (9, 1)]):
        stopping.see(trial(number, error, size))
        assert stopping.reason is None, "they still add"
    for number in (4, 5):
        stopping.see(trial(number, 8, 8))
        assert stopping.reason is None
    stopping.see(trial(6, 8.5, 8))
    assert stopping.gain == 0
    assert "the last 3 trials added 0.00%" in str(stopping.reason)
    stopping.see(trial(7, 2, 2))
    assert stopping.reason is None, "one that adds ends it"


def test_what_is_not_comparable_adds_nothing_and_what_is_infeasible_is_no_trial() -> None:
    stopping = Stopping(Stop(plateau=Plateau(trials=2)), OBJECTIVES)
    for number, (error, size) in enumerate([(9, 9), (5, 5), (4, 6)]):
        stopping.see(trial(number, error, size))
    for number in range(3, 9):
        stopping.see(replace(trial(number, 1, 1), state="infeasible"))
    assert stopping.reason is None
    for number in (9, 10):
        stopping.see(replace(trial(number, 1, 1), state="failed", metrics={}))
    assert stopping.reason is not None


def test_a_search_stops_at_its_plateau_and_says_so(tmp_path: Path) -> None:
    """The toy's best is at x = 3; on one objective a handful of trials find it."""
    stop = "{strategy: random, trials: 18, seed: 1, stop: {plateau: {trials: 4, gain: 0.01}}}"
    write_space(tmp_path, objectives="{error: minimize}", search=stop)
    result = passed(invsearch(tmp_path, "run", "toy.yaml", "--executor", "serial", "--out", "r"))
    done = len(trial_lines(tmp_path / "r"))
    assert 5 <= done < 18
    assert "search.stop.plateau: the last 4 trials added 0.00% to the hypervolume" in result.stderr
    assert f"{done} trials of 18 asked for" in result.stderr
    ended = json.loads((tmp_path / "r" / "environment.json").read_text())["ended"]
    assert ended.startswith("search.stop.plateau")
    again = ("run", "toy.yaml", "--executor", "serial", "--out", "r", "--resume")
    passed(invsearch(tmp_path, *again))
    assert len(trial_lines(tmp_path / "r")) == done, "a resume stops where it stopped"
    passed(invsearch(tmp_path, *again, "--set", "search.stop=null"))
    assert len(trial_lines(tmp_path / "r")) == 18, "and goes on without it"


def test_what_is_left_is_told_while_a_search_goes_on(tmp_path: Path) -> None:
    stop = "{strategy: random, trials: 18, stop: {hours: 2, plateau: {trials: 2}}}"
    path = write_space(tmp_path, search=stop)
    problem = problem_of(load_space_file(path))
    folder = RunFolder(tmp_path / "run")
    folder.create(problem.file.text, environment={"id": "x"}, command=[])
    assert problem.file.search.stop is not None
    limits = Limits(stopping=Stopping(problem.file.search.stop, problem.objectives))
    session = Session(problem, folder, environment="x", trials=18, capacity=1, limits=limits)
    assert remaining(session) == "about 120 min left (search.stop.hours)"
    for _ in range(3):
        proposal = session.ask()
        assert proposal is not None
        metrics = {name: Metric(name, 5.0 + proposal.number, "evaluated") for name in OBJECTIVES}
        session.finish(proposal, Outcome(metrics))
    found = remaining_s(session)
    assert found is not None
    assert found[1] == "trials", "fifteen trials at this speed are done in less than two hours"
    assert remaining(session).endswith("gained 0.0% lately")
    assert session.ask() is None
    assert "plateau" in str(session.watch.ended)
    session.close()


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        ("{}", ["needs hours, plateau or both"]),
        ("{hours: 0}", ["search.stop.hours"]),
        ("{plateau: {gain: 0.1}}", ["trials"]),
        ("{plateau: {trials: 3, gain: 1}}", ["below 1"]),
        ("{minutes: 3}", ["unknown key 'minutes'"]),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, stop: str, words: list[str]) -> None:
    write_space(tmp_path)
    result = invsearch(tmp_path, "run", "toy.yaml", "--set", f"search.stop={stop}")
    one_line(result, *words)
