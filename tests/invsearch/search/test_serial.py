"""The serial executor: budgets, failures, constraints, repeatability."""

from __future__ import annotations

import csv
from pathlib import Path

from toy import SPACE, invsearch, one_line, passed, trial_lines, without_times, write_space

from invsearch import load_run


def test_run_keeps_its_budget_and_writes_the_folder(tmp_path: Path) -> None:
    passed(invsearch(tmp_path, "run", write_space(tmp_path), "--executor", "serial"))
    folder = tmp_path / "results" / "toy"
    trials = trial_lines(folder)
    assert [trial["number"] for trial in trials] == list(range(8))
    assert all(trial["state"] == "complete" for trial in trials)
    assert len({str(trial["architecture"]) for trial in trials}) == 8, "evaluated twice"
    names = {path.name for path in folder.iterdir()} - {".lock", "checkpoints"}
    parts = {"space.yaml", "environment.json", "study.journal", "trials.jsonl", "front.csv"}
    assert names == {*parts, "sources"}


def test_front_holds_what_nothing_dominates(tmp_path: Path) -> None:
    passed(invsearch(tmp_path, "run", write_space(tmp_path), "--executor", "serial"))
    folder = tmp_path / "results" / "toy"
    points = {
        t["number"]: (t["metrics"]["error"]["value"], t["metrics"]["size"]["value"])
        for t in trial_lines(folder)
    }
    expected = {
        number
        for number, p in points.items()
        if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points.values())
    }
    rows = list(csv.DictReader((folder / "front.csv").read_text().splitlines()))
    assert {int(row["trial"]) for row in rows} == expected
    assert all(row["error_source"] == "evaluated" for row in rows)


def test_exhausted_space_ends_the_search(tmp_path: Path) -> None:
    """18 architectures exist: asking for 100 trials evaluates each once and says so."""
    space = write_space(tmp_path)
    result = passed(invsearch(tmp_path, "run", space, "--trials", 100, "--executor", "serial"))
    assert len(trial_lines(tmp_path / "results" / "toy")) == 18
    assert "every feasible architecture was evaluated" in result.stderr


def test_failures_are_recorded_with_their_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    space = write_space(tmp_path, evaluator="toy_evaluator:troubled")
    passed(invsearch(tmp_path, "run", space, "--trials", 18, "--executor", "serial"))
    trials = trial_lines(tmp_path / "results" / "toy")
    errors = {t["architecture"]["x"]: t["error"] for t in trials if t["state"] == "failed"}
    assert errors.keys() == {1, 2, 3, 4}
    assert "x is one" in errors[1]
    assert "not a finite number" in errors[2]
    assert "out of memory" in errors[3]
    assert "size was not evaluated" in errors[4]
    assert sum(trial["state"] == "complete" for trial in trials) == 10


def test_known_infeasible_architectures_are_never_evaluated(tmp_path: Path) -> None:
    space = write_space(tmp_path, costs="toy_evaluator:costs", constraints="{size: {max: 4}}")
    passed(invsearch(tmp_path, "run", space, "--trials", 100, "--executor", "serial"))
    trials = trial_lines(tmp_path / "results" / "toy")
    complete = [trial for trial in trials if trial["state"] == "complete"]
    assert {(t["architecture"]["x"], t["architecture"]["kind"]) for t in complete} == {
        (1, "a"), (2, "a"), (3, "a"), (4, "a"), (1, "b"), (2, "b"),
    }  # fmt: skip
    for trial in trials:
        if trial["state"] == "infeasible":
            assert "error" not in trial["metrics"]
            assert "size exceeds its bound" in trial["error"]


def test_constraint_that_was_not_evaluated_is_an_error(tmp_path: Path) -> None:
    """Nothing passes for feasible whose bound could not be checked."""
    space = write_space(
        tmp_path,
        objectives="{error: minimize}",
        constraints="{size: {max: 4}}",
        evaluator="toy_evaluator:error_alone",
    )
    run = ("run", space, "--trials", 3, "--executor", "serial")
    ended = invsearch(tmp_path, *run)
    assert ended.returncode == 1
    assert "no trial completed: 3 failed" in ended.stderr
    trials = trial_lines(tmp_path / "results" / "toy")
    assert [trial["state"] for trial in trials] == ["failed"] * 3
    assert all("size was not evaluated" in trial["error"] for trial in trials)


def test_two_deterministic_runs_of_one_seed_are_equal(tmp_path: Path) -> None:
    """By the command line; the strategies' suite has every strategy."""
    space = write_space(tmp_path, search="{trials: 12, seed: 5}")
    runs = []
    for name in ("one", "two"):
        arguments = ("run", space, "--executor", "serial", "--deterministic", "--out", name)
        passed(invsearch(tmp_path, *arguments))
        runs.append(without_times(trial_lines(tmp_path / name)))
    assert runs[0] == runs[1]
    assert len(runs[0]) == 12


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    before = (tmp_path / "results" / "toy" / "trials.jsonl").read_text()
    passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--resume"))
    assert (tmp_path / "results" / "toy" / "trials.jsonl").read_text() == before


def test_resume_with_a_larger_budget_goes_on_as_one_run_would(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    serial = ("--executor", "serial")
    passed(invsearch(tmp_path, "run", space, *serial, "--trials", 5, "--out", "split"))
    passed(invsearch(tmp_path, "run", space, *serial, "--trials", 9, "--out", "split", "--resume"))
    passed(invsearch(tmp_path, "run", space, *serial, "--trials", 9, "--out", "whole"))
    split, whole = (trial_lines(tmp_path / name) for name in ("split", "whole"))
    assert without_times(split) == without_times(whole)


def test_resume_of_a_missing_folder_starts_it_and_says_so(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    result = passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--resume"))
    assert "missing: starting the run" in result.stderr
    assert len(trial_lines(tmp_path / "results" / "toy")) == 8


def test_folder_that_holds_trials_is_refused_without_resume(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    one_line(invsearch(tmp_path, "run", space, "--executor", "serial"), "--resume", "--out")


def test_folder_of_another_space_is_refused(tmp_path: Path) -> None:
    passed(invsearch(tmp_path, "run", write_space(tmp_path), "--executor", "serial"))
    other = write_space(tmp_path, SPACE.replace("[1, 9]", "[1, 8]"))
    one_line(
        invsearch(tmp_path, "run", other, "--executor", "serial", "--resume"),
        "another space",
        "space",
        "--out",
    )


def test_damaged_trials_file_is_refused_with_its_line(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    path = tmp_path / "results" / "toy" / "trials.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{garbage\n", *lines[4:]]))
    one_line(
        invsearch(tmp_path, "run", space, "--executor", "serial", "--resume"), "trials.jsonl:4"
    )


def test_trials_lost_from_the_log_come_back_from_the_study(tmp_path: Path) -> None:
    """The study is the truth: a torn log is completed from it."""
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    path = tmp_path / "results" / "toy" / "trials.jsonl"
    whole = trial_lines(path.parent)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]) + lines[5][:40])
    passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--resume"))
    assert without_times(trial_lines(path.parent)) == without_times(whole)


def test_torn_journal_is_mended(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--trials", 4))
    journal = tmp_path / "results" / "toy" / "study.journal"
    with journal.open("a") as file:
        file.write('{"op_code": 4, "worker_id": "torn')
    arguments = ("run", space, "--executor", "serial", "--resume", "--trials", 8)
    passed(invsearch(tmp_path, *arguments))
    passed(invsearch(tmp_path, *arguments))
    assert len(trial_lines(journal.parent)) == 8


def test_what_a_stopped_trial_reached_reaches_the_sampler(tmp_path: Path) -> None:
    """Noise, and values at the rungs, stand where the cost-aware sampler reads them."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    small = ("--set", "accuracy.epochs=2", "--set", "accuracy.data_fraction=0.2")
    rungs = ("--set", "search.rungs=[1]", "--set", "search.reduction_factor=4", "--trials", 8)
    passed(invsearch(tmp_path, "run", "quick", "--executor", "serial", *small, *rungs))
    journal = str(tmp_path / "results" / "quick" / "study.journal")
    storage = JournalStorage(JournalFileBackend(journal))
    trials = optuna.load_study(study_name=None, storage=storage).trials
    stopped = [t for t in trials if t.state.name == "PRUNED"]
    complete = [t for t in trials if t.state.name == "COMPLETE"]
    assert stopped
    assert all(t.user_attrs["partial"]["fidelity"] == 0.5 for t in stopped)
    assert all(t.user_attrs["sigma"][0] > 0 for t in complete)
    assert all(t.user_attrs["sigma"][1] == 0 for t in complete), "MACs are exact"
    assert all("0.5" in t.user_attrs["rungs"] for t in complete)


def test_counted_search_in_batches_can_be_resumed(tmp_path: Path) -> None:
    """Where nothing is evaluated the study is written now and then: only ever what has ended."""
    run = ("run", "rednet", "--deterministic", "--set", "search.rungs=[]", "--set",
           "search.strategy=random", "--set", "search.parallel=3", "--set",
           "objectives={macs: minimize, params: minimize}")  # fmt: skip
    limit = ("--set", "constraints={params: {max: 2.0e+7}}")
    runs = []
    for name, parts in (("split", (70, 90)), ("whole", (90,))):
        for trials in parts:
            arguments = (*run, *limit, "--trials", trials, "--out", name, "--resume")
            passed(invsearch(tmp_path, *arguments))
        runs.append(without_times(trial_lines(tmp_path / name)))
    assert {trial["state"] for trial in runs[0]} == {"complete", "infeasible"}
    assert len({str(trial["architecture"]) for trial in runs[0]}) == len(runs[0])
    assert sorted(t["number"] for t in runs[0]) == list(range(len(runs[0])))
    assert sum(t["state"] == "complete" for t in runs[0]) == 90


NOISY = """
import random

def noisy(values):
    value = values["x"] + random.random()
    return {"error": {"value": value, "low": value - 1, "high": value + 1}, "size": -values["x"]}
"""


def test_doubtful_members_of_the_front_get_further_seeds(tmp_path: Path) -> None:
    """Replicates update a trial's metric and never make a second line; resuming adds none."""
    space = write_space(tmp_path, evaluator="toy_noise:noisy")
    (tmp_path / "toy_noise.py").write_text(NOISY)
    run = ("run", space, "--executor", "serial", "--trials", 6, "--set", "search.replicates=2")
    passed(invsearch(tmp_path, *run))
    folder = tmp_path / "results" / "toy"
    assert [trial["number"] for trial in trial_lines(folder)] == list(range(6))
    replicates = (folder / "replicates.jsonl").read_text()
    loaded = load_run(folder)
    certain = {member.trial.number for member in loaded.members if member.p_front >= 0.95}
    for member in loaded.members:
        metric = member.trial.metrics["error"]
        if member.trial.number not in certain:
            assert metric.n == 3, "a doubtful member has its further seeds"
    assert any(member.trial.metrics["error"].n > 1 for member in loaded.members)
    passed(invsearch(tmp_path, *run, "--resume"))
    assert (folder / "replicates.jsonl").read_text() == replicates
