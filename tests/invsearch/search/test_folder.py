"""Workers on a shared folder: one is paused, a driver dies, some are refused or sent away."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy import command, invsearch, one_line, trial_lines, write_space

from invsearch.errors import InputError
from invsearch.runs import describe
from invsearch.runs.lock import hold
from invsearch.search.executors import WorkerState
from invsearch.search.executors.folder.crew import Crew, versions
from invsearch.search.executors.folder.desk import Desk
from invsearch.search.executors.folder.heart import Heart
from invsearch.search.executors.folder.place import PROTOCOL, Place, read, write
from invsearch.search.executors.folder.seen import Lease
from invsearch.search.live import _workers
from invsearch.testing.problems import landscape

LEASE_S = 2.0  # short, since tests wait for it to run out
SLOW = """
import os, pathlib, time


def evaluate(values, context):
    here = pathlib.Path(__file__).parent
    state = context.folder / "epoch"
    for epoch in range(int(state.read_text()) + 1 if state.exists() else 1, 9):
        with (here / "epochs").open("a") as file:
            print(context.number, epoch, os.getppid(), file=file)
        time.sleep(0.25)
        context.report(epoch, {"error": values["x"] + 1 / epoch})
        state.write_text(str(epoch))
    return {"error": float(values["x"])}
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(SLOW)
    path = tmp_path / "slow.yaml"
    path.write_text(
        "name: slow\nobjectives: {error: minimize}\nparams: {x: {range: [1, 2]}}\n"
        "evaluator: slow:evaluate\nsearch: {strategy: exhaustive, trials: 2, executor: folder}\n"
        f"cluster: {{lease: {LEASE_S}}}\n"
    )
    return path


class Stage:
    """Drivers and workers of one run, in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._processes = folder, list[subprocess.Popen[str]]()

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(*arguments), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True, preexec_fn=_in_the_background,
        )  # fmt: skip
        self._processes.append(process)
        return process

    def drive(self) -> subprocess.Popen[str]:
        return self.start("run", "slow.yaml", "--out", "run", "--resume")

    def epochs(self) -> list[tuple[int, int, int]]:
        """Trial, epoch and worker of every epoch that was begun."""
        path = self.folder / "epochs"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(map(int, line.split())) for line in lines]  # type: ignore[misc]

    def wait(self, there: Callable[[], object]) -> None:
        until = time.monotonic() + 100
        while not there():
            assert time.monotonic() < until
            time.sleep(0.02)

    def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate()


def _in_the_background() -> None:
    """As a script's `&` starts it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture
def stage(tmp_path: Path, space: Path) -> Iterator[Stage]:
    opened = Stage(tmp_path)
    yield opened
    opened.close()


def check_whole(folder: Path) -> None:
    trials = trial_lines(folder / "run")
    assert sorted((t["number"], t["state"]) for t in trials) == [(0, "complete"), (1, "complete")]
    assert [t["metrics"]["error"]["value"] for t in sorted(trials, key=lambda t: t["number"])] == [
        t["architecture"]["x"] for t in sorted(trials, key=lambda t: t["number"])
    ]
    curves = [json.loads(line) for line in (folder / "run/curves.jsonl").read_text().splitlines()]
    points = sorted((point["trial"], point["step"]) for point in curves)
    assert points == [(trial, step) for trial in range(2) for step in range(1, 9)]
    assert not list((folder / "run").glob("checkpoints/*"))
    assert {trial["environment"] for trial in trials} == {describe()["id"]}


def test_a_paused_worker_comes_back_to_nothing(stage: Stage) -> None:
    """Its trial goes on elsewhere from the last epoch; what it still does counts for nothing."""
    worker = stage.start("work", "run")
    driver = stage.drive()
    stage.wait(lambda: any(epoch >= 3 for _, epoch, _ in stage.epochs()))
    worker.send_signal(signal.SIGSTOP)
    other = stage.start("work", "run")
    stage.wait(lambda: any(n == 0 and pid != worker.pid for n, _, pid in stage.epochs()))
    worker.send_signal(signal.SIGCONT)
    told = driver.communicate(timeout=100)[0]
    assert driver.returncode == 0, told
    for one in (worker, other):
        said = one.communicate(timeout=60)[0]
        assert one.returncode == 0, said
        assert "the search is over" in said
    check_whole(stage.folder)
    assert "is lost: trial 0 goes to another" in told
    taken = [epoch for trial, epoch, pid in stage.epochs() if trial == 0 and pid == other.pid]
    assert taken[0] >= 3, "it began anew"
    assert not [path for path in (stage.folder / "run/workers").iterdir() if path.is_dir()]


def test_a_driver_that_was_killed_finds_its_workers_at_work(stage: Stage) -> None:
    """Nothing is evaluated twice; a worker that is told to end gives its trial back."""
    worker = stage.start("work", "run")
    driver = stage.drive()
    stage.wait(lambda: any(epoch >= 2 for _, epoch, _ in stage.epochs()))
    driver.kill()
    stage.wait(lambda: any(epoch >= 5 for _, epoch, _ in stage.epochs()))
    again = stage.drive()
    stage.wait(lambda: any(trial == 1 and epoch >= 3 for trial, epoch, _ in stage.epochs()))
    assert [epoch for trial, epoch, _ in stage.epochs() if trial == 0] == [*range(1, 9)]
    worker.terminate()
    said = worker.communicate(timeout=60)[0]
    assert worker.returncode == 143, said
    assert said.splitlines()[-1].startswith("invsearch: terminated: trial 1 goes to another worker")
    last = stage.start("work", "run", "--device", "cpu", "--threads", 1)
    told = again.communicate(timeout=100)[0]
    assert again.returncode == 0, told
    assert "has left: trial 1 goes to another" in told
    assert "1 trial evaluated here" in last.communicate(timeout=60)[0]
    check_whole(stage.folder)
    begun = [epoch for trial, epoch, _ in stage.epochs() if trial == 1]
    assert len(begun) <= 9, "the epoch under way may have been begun twice"


@pytest.mark.parametrize(
    ("section", "word"),
    [
        ("{storage_path: /anywhere}", "cluster.storage_path"),
        ("{resources: {a100: 1}}", "cluster.resources"),
        ("{autoscale: true}", "cluster.autoscale"),
    ],
)
def test_what_only_ray_has_is_refused(tmp_path: Path, section: str, word: str) -> None:
    space = write_space(tmp_path, cluster=section)
    one_line(invsearch(tmp_path, "run", space, "--executor", "folder"), word, "leave it out")


def test_what_a_ray_node_would_measure_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "name: s\nobjectives: {params: minimize, 'latency_ms@far': minimize}\n"
        "model: {family: rednet, resolution: 32}\nspace: {depth: {choice: [26, 38]}}\n"
        "latency: {targets: {far: {device: cpu, resource: a100}}}\n"
    )
    one_line(invsearch(tmp_path, "run", "s.yaml", "--executor", "folder"), "latency.targets.far")


def test_devices_of_workers(tmp_path: Path) -> None:
    one_line(invsearch(tmp_path, "work", "run", "--device", "tpu"), "tpu", "cuda:N")
    done = invsearch(tmp_path, "work", "run", "--idle", "0")
    assert done.returncode == 0
    assert "no search" in done.stderr


def test_a_worker_that_runs_something_else_is_sent_away(tmp_path: Path) -> None:
    """And one whose files this version does not know; of a sound one nothing is said."""
    place, environment, said = Place(tmp_path / "run"), describe(), list[str]()
    for name, changed in {
        "sound": {},
        "old": {"versions": {**versions(environment), "torch": "1.0"}},
        "newer": {"protocol": PROTOCOL + 1},
    }.items():
        info = {"protocol": PROTOCOL, "name": name, "space": "s", "environment": environment,
                "versions": versions(environment), **changed}  # fmt: skip
        (place.root / name).mkdir(parents=True)
        write(place.root / name / "worker.json", info)
        write(place.root / name / "pulse.json", {"beat": 1})
    crew = Crew(place, SimpleNamespace(say=said.append), "s", 5.0)  # type: ignore[arg-type]
    crew.look()
    assert [worker.name for worker in crew.here()] == ["sound"]
    assert "torch is 1.0" in (read(place.root / "old" / "orders.json") or {})["leave"]
    assert "form 2" in (read(place.root / "newer" / "orders.json") or {})["leave"]
    assert sum("sent away" in line for line in said) == 2


def desk(folder: Path, lease_s: float = 0.6) -> Desk:
    return Desk(Place(folder), landscape(folder).file, lease_s)


def test_a_driver_elsewhere_is_known_by_its_beats(tmp_path: Path) -> None:
    """Where the lock on a folder does not reach; one that stands still is dead."""
    place, said = Place(tmp_path), list[str]()
    place.root.mkdir()
    other = {"driver": "d", "host": "elsewhere", "pid": 7, "beat": 0, "state": "searching"}

    def beat() -> None:
        other["beat"] = int(str(other["beat"])) + 1
        write(place.driver, other)

    refused = pytest.raises(InputError, match="elsewhere")
    with Heart(0.05, beat), refused, desk(tmp_path).held(said.append):
        pass
    with desk(tmp_path).held(said.append) as ours:
        ours.check()
        write(place.driver, other)  # which was paused, and now believes that it drives
        until = time.monotonic() + 30
        while not ours.displaced and time.monotonic() < until:
            time.sleep(0.01)
        with pytest.raises(InputError, match="taken over"):
            ours.check()
    assert read(place.driver) == other
    assert all("still lives" in line for line in said)


def test_messages_are_taken_as_far_as_they_have_come(tmp_path: Path) -> None:
    """A network's file system may show the end of a file before what stands before it."""
    path = tmp_path / "messages.jsonl"
    lease = Lease(tmp_path, {}, None, {})
    whole = b'{"a": 1}\n{"b": 2}\n'
    for content, said, found in (
        (b"", 18, []),
        (b'{"a": 1}\n{"b', 9, [{"a": 1}]),
        (b'{"a": 1}\n' + bytes(9), 18, []),
        (b'{"a": 1}\n' + bytes(8) + b"\n", 18, []),
        (whole, 18, [{"b": 2}]),
        (whole, 18, []),
    ):
        path.write_bytes(content)
        assert lease.news(said) == found


def test_the_live_view_names_workers() -> None:
    states = [WorkerState(f"n{i}", i if i % 2 else None, i, 0.0) for i in range(9)]
    lines = [str(line) for line in _workers(SimpleNamespace(workers=states))]  # type: ignore[arg-type]
    assert lines[0] == "n1: trial 1, step 1"
    assert lines[-1] == "and 3 more workers"


def test_a_file_system_without_locks_will_do_where_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def lockless(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", lockless)
    with hold(tmp_path / ".lock", needed=False):
        pass
    with pytest.raises(InputError, match="locked"), hold(tmp_path / ".lock"):
        pass
