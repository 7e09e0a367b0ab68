"""A trial whose node dies goes on elsewhere from its last step, by its checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray_cluster import RayCluster, lose

STEPS = 8
MODULE = f'''
"""Evaluations of several steps that write down where each of them ran."""

import json, os, pathlib, time
from invsearch.evaluation import InstantEvaluation, Progress
from invsearch.problem.function import FunctionProblem

LOG = pathlib.Path(__file__).parent / "steps.jsonl"


class Slow(FunctionProblem):
    def evaluation(self, architecture, seed):
        return Steps(architecture, super().evaluation(architecture, seed).step().metrics)


class Steps(InstantEvaluation):
    def __init__(self, architecture, metrics):
        super().__init__(metrics)
        self.key, self.done = architecture.key, 0

    def step(self):
        time.sleep(0.4)
        self.done += 1
        where = "second" if "SECOND_NODE" in os.environ else "first"
        with LOG.open("a") as file:
            file.write(json.dumps([self.key, self.done, where]) + "\\n")
        return Progress(self.done, self.done == {STEPS}, self._metrics)

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "steps").write_text(str(self.done))

    def load(self, folder):
        if (folder / "steps").exists():
            self.done = int((folder / "steps").read_text())
'''
DRIVER = """
import pathlib, sys
from slow_steps import Slow
from invsearch.runs import RunFolder
from invsearch.search.executors.ray import RAY
from invsearch.search.session import Session
from invsearch.testing.problems import landscape

here = pathlib.Path(sys.argv[1])
problem = landscape(here, strategy="random", parallel=2)
object.__setattr__(problem.file, "cluster",
                   problem.file.cluster.model_copy(update={"storage_path": str(here / "storage")}))
problem.__class__ = Slow
(here / "run").mkdir()
with RAY.open(problem, None) as workers:
    session = Session(problem, RunFolder(here / "run"), environment="", trials=3,
                      capacity=workers.capacity)
    workers.run(session)
    session.close()
"""


def steps(folder: Path) -> list[tuple[str, int, str]]:
    path = folder / "steps.jsonl"
    return (
        [tuple(json.loads(line)) for line in path.read_text().splitlines()]
        if (path.exists())
        else []
    )


@pytest.mark.slow
def test_it_goes_on_from_its_last_step(tmp_path: Path) -> None:
    (tmp_path / "slow_steps.py").write_text(MODULE)
    (tmp_path / "driver.py").write_text(DRIVER)
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with RayCluster(tmp_path / "home") as cluster:
        (tmp_path / "home").mkdir()
        os.environ["PYTHONPATH"], before = path, os.environ.get("PYTHONPATH", "")
        try:
            cluster.head()
            second = cluster.worker(SECOND_NODE="1")
            driver = subprocess.Popen(
                [sys.executable, tmp_path / "driver.py", tmp_path],
                env={**os.environ, **cluster.environment},
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            os.environ["PYTHONPATH"] = before
        deadline = time.monotonic() + 120
        while not any(done >= 4 and where == "second" for _, done, where in steps(tmp_path)):
            assert driver.poll() is None, driver.communicate()[1]
            assert time.monotonic() < deadline, "nothing ran on the second node"
            time.sleep(0.02)
        lose(second)
        errors = driver.communicate(timeout=200)[1]
    assert driver.returncode == 0, errors
    trials = [json.loads(line) for line in (tmp_path / "run/trials.jsonl").read_text().splitlines()]
    assert sorted(trial["number"] for trial in trials) == [0, 1, 2]
    assert {trial["state"] for trial in trials} == {"complete"}, trials
    taken = steps(tmp_path)
    moved = {key for key, done, where in taken if where == "second" and done >= 4}
    for key in moved:
        after = [done for other, done, where in taken if other == key and where == "first"]
        last = max(done for other, done, where in taken if other == key and where == "second")
        if last < STEPS:
            assert after[-1] == STEPS
            assert after[0] >= last - 1, "it began anew"
    assert not list((tmp_path / "storage").glob("*/*")), "checkpoints of what has ended are gone"
