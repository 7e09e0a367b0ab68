"""The storage of a run's study: Optuna's own, in memory and in its file, however it is written."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import FrozenTrial, TrialState, create_trial

from invsearch.runs import RunFolder
from invsearch.search.executors.serial import run_serial
from invsearch.search.session import Session
from invsearch.search.storage import JournaledStorage
from invsearch.testing.curves import Curves
from invsearch.testing.curves import session as curves_session
from invsearch.testing.problems import CONTINUOUS, FINITE, landscape

KILLS = 25


def stock(journal: Path) -> JournalStorage:
    """The journal as Optuna, its command line and its dashboard open it."""
    return JournalStorage(JournalFileBackend(str(journal)))


def content(storage: BaseStorage) -> str:
    """Everything in a storage, as text: NaN is not equal to itself."""
    studies = storage.get_all_studies()
    trials = [t for study in studies for t in storage.get_all_trials(study._study_id)]
    for trial in trials:  # Optuna's memory keeps an int that was given for a float
        trial.params = {k: float(v) if type(v) is int else v for k, v in trial.params.items()}
    return repr([[vars(study) for study in studies], trials])


class TestJournaledStorage(StorageTestCase):
    """Optuna's own cases; after each of them the file says what the memory does."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[JournaledStorage]:
        journal = tmp_path / "study.journal"
        storage = JournaledStorage(journal)
        yield storage
        storage.commit()
        assert content(stock(journal)) == content(storage)


def test_what_is_committed_bit_by_bit_is_what_stands_there(tmp_path: Path) -> None:
    """A trial may be written when it is asked, queued, or ended, and changed before and after."""
    journal = tmp_path / "study.journal"
    storage = JournaledStorage(journal)
    choice = CategoricalDistribution(("a", None, 2))
    study = storage.create_new_study([StudyDirection.MINIMIZE] * 2, "two")
    queued = create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": {"p": 2}})
    rng = random.Random(0)

    def perhaps() -> None:
        if rng.random() < 0.4:
            storage.commit(durable=rng.random() < 0.5)
            assert content(stock(journal)) == content(storage)

    for number in range(60):
        trial = storage.create_new_trial(study, queued if number % 3 == 0 else None)
        perhaps()
        if number % 3 == 0:
            assert storage.set_trial_state_values(trial, TrialState.RUNNING)
            perhaps()
        storage.set_trial_param(trial, "p", rng.randrange(3), choice)
        perhaps()
        storage.set_trial_user_attr(trial, "text", "caf\udce9 \n é")
        perhaps()
        storage.set_trial_system_attr(trial, "constraints:size", -1.5)
        if number % 5:
            state = TrialState.COMPLETE if number % 2 else TrialState.FAIL
            storage.set_trial_state_values(trial, state, [1.0, 2.5] if number % 2 else None)
        perhaps()
    storage.commit()
    assert content(JournaledStorage(journal)) == content(storage) == content(stock(journal))


def test_an_interrupted_commit_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever an interrupt or a full disk meets it, nothing stands in the file twice."""
    from invsearch.search import storage as module

    journal = tmp_path / "study.journal"
    storage = JournaledStorage(journal)
    study = storage.create_new_study([StudyDirection.MINIMIZE])
    append, write = module.append_lines, os.write

    def interrupted_after(*arguments: Any, **options: Any) -> None:
        append(*arguments, **options)
        raise KeyboardInterrupt

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 40:
            return write(descriptor, data[:40])
        raise OSError(28, "No space left on device")

    for place, name, broken in [
        (module, "append_lines", interrupted_after),
        (os, "write", full),
    ]:
        storage.create_new_trial(study)
        with monkeypatch.context() as patch:
            patch.setattr(place, name, broken)
            with pytest.raises((KeyboardInterrupt, OSError)):
                storage.commit()
        storage.commit()
        assert content(stock(journal)) == content(storage)


@pytest.mark.parametrize("parameters", [3, 30])
def test_a_trial_waits_for_the_disk_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: int
) -> None:
    """Once before its evaluation and once after, however many parameters it has."""
    waits, writes = [0], [0]
    fsync, write = os.fsync, os.write

    def counted_fsync(descriptor: int) -> None:
        waits[0] += 1
        fsync(descriptor)

    def counted_write(descriptor: int, data: bytes) -> int:
        writes[0] += 1
        return write(descriptor, data)

    monkeypatch.setattr(os, "fsync", counted_fsync)
    monkeypatch.setattr(os, "write", counted_write)

    def spent(trials: int) -> tuple[int, int]:
        waits[0], writes[0] = 0, 0
        further = {f"p{i}": {"choice": [1, 2, 3]} for i in range(parameters - len(FINITE))}
        problem = landscape(tmp_path, params={**FINITE, **further}, strategy="random")
        folder = RunFolder(tmp_path / str(trials))
        folder.path.mkdir()
        session = Session(problem, folder, environment="", trials=trials, capacity=1)
        run_serial(session)
        session.close()
        assert session.counted == trials
        return waits[0], writes[0]

    few, many = spent(5), spent(20)
    assert (many[0] - few[0]) / 15 <= 2
    assert (many[1] - few[1]) / 15 <= 3  # the third is the line of trials.jsonl


def test_the_study_of_a_run_is_read_by_optuna(tmp_path: Path) -> None:
    """With trials that were stopped, failed and were infeasible, and what they carry."""
    problem = Curves(tmp_path, limit=12.0, rungs=(1, 3), strategy="random")
    (tmp_path / "run").mkdir()
    session = curves_session(problem, tmp_path / "run", 20)
    run_serial(session)
    session.close()
    trials = stock(tmp_path / "run" / "study.journal").get_all_trials(0)
    by_number = {t.user_attrs["number"]: t for t in trials if "number" in t.user_attrs}
    assert {trial.state for trial in session.trials} >= {"complete", "stopped", "infeasible"}
    for trial in session.trials:
        found: FrozenTrial = by_number[trial.number]
        assert found.params == trial.architecture.to_json()
        if trial.state == "complete":
            assert found.values == [trial.metrics[m].value for m in problem.objectives]


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from test_storage import long_session
from invsearch.search.executors.serial import run_serial

place, rng = Path(sys.argv[1]), random.Random(1)
log = place / "run" / "trials.jsonl"


def lines():
    return log.read_bytes().count(b"\\n") if log.exists() else 0


for _ in range(int(sys.argv[2])):
    ready, begun = os.pipe()
    child = os.fork()
    if not child:
        session = long_session(place, 100_000)
        os.write(begun, b"!")
        run_serial(session)
    os.read(ready, 1)
    enough = lines() + rng.randrange(6)
    while lines() < enough:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.01))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(lines())
"""


def long_session(folder: Path, trials: int) -> Session:
    """A search that is written as fast as it can be."""
    further = {f"p{i}": {"choice": [1, 2, 3]} for i in range(12)}
    problem = landscape(folder, params={**CONTINUOUS, **further}, strategy="random")
    return Session(problem, RunFolder(folder / "run"), environment="", trials=trials, capacity=1)


def test_kills_at_any_moment_lose_only_what_was_in_flight(tmp_path: Path) -> None:
    """A process that does nothing but ask, tell and write is killed wherever it stands."""
    (tmp_path / "run").mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path), str(KILLS)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    logged = [int(line) for line in killed.stdout.split()]
    assert len(logged) == KILLS, killed.stderr
    assert logged == sorted(logged)
    assert logged[-1] > KILLS
    session = long_session(tmp_path, logged[-1] + 20)
    told, orphans = session.resumed, session.orphans
    assert told >= logged[-1] - 1, "a last line may be torn, and the study holds its trial"
    assert orphans <= 1
    run_serial(session)
    session.close()
    trials = sorted(session.folder.trials(), key=lambda trial: trial.number)
    assert [trial.number for trial in trials] == list(range(session.trials_wanted))
    values = {
        trial.user_attrs["number"]: trial.values
        for trial in stock(session.folder.study_path).get_all_trials(0)
        if trial.state == TrialState.COMPLETE
    }
    names = list(session.problem.objectives)
    assert values == {t.number: [t.metrics[name].value for name in names] for t in trials}
