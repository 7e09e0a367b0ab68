"""Nodes that go: before the first trial, or all that could run one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import RayCluster, lose
from toy import command, trial_lines, write_space

IMPATIENT = """
import os
from invsearch.search.executors.ray import cluster
os.environ.update(cluster._ENVIRONMENT)  # before Ray is imported
from invsearch.search.executors.ray import presence
presence.GRACE_S = 2.0
from invsearch.cli import main
main()
"""
SLOW = """
import os, pathlib, time
if "SECOND_NODE" in os.environ:
    (pathlib.Path(__file__).parent / "reached").touch()
    time.sleep(200)
"""
ENDLESS = """
import pathlib, time


def evaluate(values):
    (pathlib.Path(__file__).parent / "reached").touch()
    time.sleep(200)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    with RayCluster(tmp_path_factory.mktemp("home")) as opened:
        opened.head()
        yield opened


def start(folder: Path, cluster: RayCluster, *line: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*map(str, line), "--trials", "4", "--out", "run"],
        cwd=folder,
        env={**os.environ, **cluster.environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 150
    while not path.exists():
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.05)


def test_a_node_lost_while_it_is_looked_at_is_passed_over(
    tmp_path: Path, cluster: RayCluster
) -> None:
    space = write_space(tmp_path)
    with (tmp_path / "toy_evaluator.py").open("a") as file:
        file.write(SLOW)
    second = cluster.worker(SECOND_NODE="1")
    driver = start(tmp_path, cluster, *command("run", space))
    wait_for(tmp_path / "reached", driver)
    lose(second)
    errors = driver.communicate(timeout=200)[1]
    assert driver.returncode == 0, errors
    assert [trial["state"] for trial in trial_lines(tmp_path / "run")] == ["complete"] * 4


@pytest.mark.slow
def test_a_search_without_any_node_left_says_so(tmp_path: Path, cluster: RayCluster) -> None:
    """Tune would wait for another one without end; the head has no red."""
    space = write_space(tmp_path, cluster="{resources: {red: 1}}")
    (tmp_path / "toy_evaluator.py").write_text(ENDLESS)
    red = cluster.worker('--resources={"red": 1}')
    driver = start(tmp_path, cluster, sys.executable, "-c", IMPATIENT, "run", space)
    wait_for(tmp_path / "reached", driver)
    lose(red)
    errors = driver.communicate(timeout=200)[1]
    assert driver.returncode == 2, errors
    last = errors.strip().splitlines()[-1]
    assert "no node that can run a trial" in last
    assert "--resume" in last
    assert "Traceback" not in errors
