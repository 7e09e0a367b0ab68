"""Chaos: searches that are disturbed at random, and must end as if nothing had happened.

A round is one deterministic search, with its seed. Undisturbed it is run once in this process; then
again as a command that something happens to up to twice, each time followed by ``--resume``. At the
end every trial is there once, complete, with the architecture and the metrics that it had.

    PYTHONPATH=$PWD/tests:$PWD python -m chaos.rounds --rounds 200

(The path is absolute: drivers run in the rounds' folders, and must find the code of the nodes.)
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from ray_cluster import RayCluster, kill, lose
from toy import command, invsearch, passed, trial_lines, without_times, write_space

TRIALS = 12
SECONDS = {"TOY_SECONDS": "0.15"}  # of an evaluation, so that what happens meets some under way
PATIENCE_S = 240  # of one command, on a busy machine
HARMS_A_ROUND = 2  # Tune tries a trial three times: more would fail one, as it should
LEASE_S = 2.0  # of the folder's workers: on a busy machine one is given up that lives, and is it
CLOCK = """
import os, random, time
_real, _rng = time.time, random.Random(os.getpid())
def _jumping():
    return _real() + _rng.choice((0, 0, 0, -86400, 3600, 86400))
time.time = _jumping
"""


@dataclass(frozen=True)
class Arena:
    """Where a round happens.

    Attributes:
        folder: A folder of its own.
        rng: The round's chance.
        cluster: The cluster that all rounds share, of a head and one further node.
    """

    folder: Path
    rng: random.Random
    cluster: RayCluster

    def start(self, *more: str, limit: int | None = None, **environment: str) -> Driver:
        """Start the search, with ``more`` options."""
        out = ("--deterministic", "--trials", TRIALS, "--out", "disturbed", "--resume")
        with (self.folder / "errors").open("a") as errors:
            process = subprocess.Popen(
                command("run", self.folder / "toy.yaml", *out, *more),
                cwd=self.folder,
                env={**os.environ, **SECONDS, **environment},
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                preexec_fn=None if limit is None else functools.partial(_limit_files, limit),
            )
        return Driver(process, self.folder / "disturbed" / "trials.jsonl")

    def work(self) -> subprocess.Popen[bytes]:
        """Start a worker of the executor `folder`."""
        with (self.folder / "errors").open("a") as errors:
            return subprocess.Popen(
                command("work", "disturbed"),
                cwd=self.folder,
                env={**os.environ, **SECONDS},
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def sleep(self) -> None:
        time.sleep(self.rng.uniform(0, 0.6))


@dataclass(frozen=True)
class Driver:
    """The process of a search."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, lines: int) -> None:
        """Until so many trials are logged, or it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.log.exists() and self.log.read_bytes().count(b"\n") >= lines:
                return
            time.sleep(0.01)

    def end(self) -> int:
        try:
            return self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the search hangs") from None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def driver_killed(arena: Arena) -> None:
    driver = arena.start("--executor", "serial")
    driver.wait_for(arena.rng.randrange(TRIALS))
    arena.sleep()
    driver.kill()


def disk_filled(arena: Arena) -> None:
    """No file grows past a size that the run needs more than."""
    largest = max((p.stat().st_size for p in arena.folder.rglob("*") if p.is_file()), default=0)
    limit = max(largest, 2_000) + arena.rng.randrange(6_000)
    arena.start("--executor", "serial", limit=limit).end()


def clock_jumped(arena: Arena) -> None:
    """The clock of the driver is set to and fro, and then it is killed too."""
    shim = arena.folder / "shim"
    shim.mkdir(exist_ok=True)
    (shim / "sitecustomize.py").write_text(CLOCK)
    path = os.pathsep.join([str(shim), os.environ.get("PYTHONPATH", "")])
    driver = arena.start("--executor", "serial", PYTHONPATH=path)
    driver.wait_for(arena.rng.randrange(TRIALS))
    driver.kill()


def ray_driver_killed(arena: Arena) -> None:
    driver = _on_ray(arena)
    driver.kill()


def ray_worker_killed(arena: Arena) -> None:
    driver = _on_ray(arena)
    workers = [p for node in arena.cluster.nodes for p in _below(node) if _evaluates(p)]
    kill(arena.rng.sample(workers, min(1, len(workers))))
    driver.end()


def raylet_killed(arena: Arena) -> None:
    driver = _on_ray(arena)
    node = arena.cluster.nodes[-1]
    below = _below(node)
    kill([process for process in below if _name(process) == "raylet"])
    driver.end()
    kill(below)  # what outlived its raylet
    lose(node)


def node_killed(arena: Arena) -> None:
    driver = _on_ray(arena)
    lose(arena.cluster.nodes[-1])
    driver.end()


def folder_worker_killed(arena: Arena) -> None:
    with _on_folder(arena) as (driver, workers):
        workers[0].kill()
        driver.end()


def folder_worker_paused(arena: Arena) -> None:
    """For longer than its lease holds, most times; it comes back while others have its trial."""
    with _on_folder(arena) as (driver, workers):
        workers[0].send_signal(signal.SIGSTOP)
        time.sleep(arena.rng.uniform(0.5, 2.5) * LEASE_S)
        workers[0].send_signal(signal.SIGCONT)
        driver.end()


def folder_driver_killed(arena: Arena) -> None:
    """The workers go on, and the next driver finds them at it."""
    with _on_folder(arena) as (driver, _):
        driver.kill()
        arena.sleep()
        arena.start("--executor", "folder").end()


def folder_disk_filled(arena: Arena) -> None:
    """The driver's, in whatever it writes; its workers wait."""
    largest = max((p.stat().st_size for p in arena.folder.rglob("*") if p.is_file()), default=0)
    limit = max(largest, 2_000) + arena.rng.randrange(6_000)
    with _on_folder(arena, limit=limit) as (driver, _):
        driver.end()


@contextlib.contextmanager
def _on_folder(
    arena: Arena, limit: int | None = None
) -> Iterator[tuple[Driver, list[subprocess.Popen[bytes]]]]:
    """A search of two workers, at a moment of its own."""
    driver = arena.start("--executor", "folder", limit=limit)
    workers = [arena.work(), arena.work()]
    try:
        driver.wait_for(arena.rng.randrange(TRIALS - 2))
        arena.sleep()
        yield driver, workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


HARMS: tuple[Callable[[Arena], None], ...] = (
    node_killed,
    disk_filled,
    driver_killed,
    clock_jumped,
    ray_worker_killed,
    ray_driver_killed,
    raylet_killed,
    folder_worker_killed,
    folder_worker_paused,
    folder_driver_killed,
    folder_disk_filled,
)


def _on_ray(arena: Arena) -> Driver:
    """A search on the cluster, at a moment of its own."""
    nodes = arena.cluster.nodes
    if len(nodes) < 2 or nodes[-1].poll() is not None:
        del nodes[1:]
        arena.cluster.worker()
    driver = arena.start("--executor", "ray", **arena.cluster.environment)
    driver.wait_for(arena.rng.randrange(TRIALS - 2))
    arena.sleep()
    return driver


def _below(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(node.pid).children(recursive=True) if node.poll() is None else []


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _evaluates(process: psutil.Process) -> bool:
    try:
        return "EvaluationTrainable" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@contextlib.contextmanager
def open_cluster(home: Path) -> Iterator[RayCluster]:
    """The cluster of all rounds; its further node comes when a round needs it."""
    with RayCluster(home, **SECONDS) as cluster:
        cluster.head()
        yield cluster


def play(number: int, folder: Path, cluster: RayCluster) -> list[str]:
    """One round; the names of what happened.

    Raises:
        AssertionError: If a trial was lost, came twice, or is another than undisturbed.
    """
    rng = random.Random(number)
    search = f"{{strategy: nsga2, seed: {number}, parallel: 2}}"
    write_space(folder, search=search, cluster=f"{{lease: {LEASE_S}}}")
    out = ("--deterministic", "--executor", "serial", "--trials", TRIALS, "--out", "whole")
    passed(invsearch(folder, "run", folder / "toy.yaml", *out))
    arena = Arena(folder, rng, cluster)
    harms = [HARMS[number % len(HARMS)]]
    if rng.random() < 0.5 and HARMS_A_ROUND > 1:
        harms.append(rng.choice(HARMS))
    for harm in harms:
        harm(arena)
    assert arena.start("--executor", "serial").end() == 0, (folder / "errors").read_text()[-2000:]
    found = trial_lines(folder / "disturbed")
    numbers = collections.Counter(trial["number"] for trial in found)
    assert numbers == collections.Counter(range(TRIALS)), f"trials lost or doubled: {numbers}"
    found.sort(key=lambda trial: trial["number"])
    for trial in found:  # an orphan is evaluated again, and says so
        trial["origin"] = "sampler"
    whole = without_times(trial_lines(folder / "whole"))
    for trial, undisturbed in zip(without_times(found), whole, strict=True):
        assert trial == undisturbed, f"{harms}: {trial} is not the undisturbed {undisturbed}"
    return [harm.__name__ for harm in harms]


def main() -> int:
    """Play rounds and count; the exit code is 1 where one went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first round's number and seed")
    options = parser.parse_args()
    harms: collections.Counter[str] = collections.Counter()
    failed = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as home, open_cluster(Path(home)) as cluster:
        for number in range(options.first, options.first + options.rounds):
            with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
                try:
                    happened = play(number, Path(folder), cluster)
                    harms.update(happened)
                    print(f"round {number}: {', '.join(happened)}: whole", flush=True)
                except AssertionError as error:
                    failed.append(number)
                    print(f"round {number}: {error}", flush=True)
    print(f"{options.rounds - len(failed)} of {options.rounds} rounds ended whole: {dict(harms)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
