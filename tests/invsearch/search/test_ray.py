"""The Ray executor, on a cluster of two nodes that these tests start and stop themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import RayCluster
from toy import command, invsearch, passed, trial_lines, without_times, write_space

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two nodes of one CPU each on this machine; yields the environment that reaches them."""
    with RayCluster(tmp_path_factory.mktemp("home")) as nodes:
        nodes.head()
        nodes.worker()
        yield nodes.environment


def test_both_nodes_evaluate(tmp_path: Path, cluster: dict[str, str]) -> None:
    """Without --address the environment's cluster is used; two trials run at a time.

    The first trial waits for one on the other node, however long that takes to start.
    """
    space = write_space(tmp_path, evaluator="toy_evaluator:located")
    (tmp_path / "toy_evaluator.py").write_text(
        "import pathlib, time\n"
        "def located(values):\n"
        "    import ray\n"
        "    node = ray.get_runtime_context().get_node_id()[:8]\n"
        f"    seen = pathlib.Path({str(tmp_path)!r})\n"
        "    (seen / f'{node}.seen').touch()\n"
        "    end = time.monotonic() + 90\n"
        "    while len(list(seen.glob('*.seen'))) < 2 and time.monotonic() < end:\n"
        "        time.sleep(0.05)\n"
        "    return {'error': values['x'], 'size': -values['x'], 'node': int(node, 16)}\n"
    )
    passed(invsearch(tmp_path, "run", space, **cluster))
    trials = trial_lines(tmp_path / "results" / "toy")
    assert len(trials) == 8
    assert {trial["state"] for trial in trials} == {"complete"}
    assert len({trial["metrics"]["node"]["value"] for trial in trials}) == 2


def test_deterministic_runs_are_equal_on_ray_and_serially(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    space = write_space(tmp_path, search="{strategy: nsga2, trials: 10, seed: 3, parallel: 2}")
    address = cluster["RAY_ADDRESS"]
    on_ray = ("run", space, "--deterministic", "--out", "ray", "--address", address)
    passed(invsearch(tmp_path, *on_ray, **cluster))
    serially = ("run", space, "--deterministic", "--out", "serial", "--executor", "serial")
    passed(invsearch(tmp_path, *serially))
    runs = [without_times(trial_lines(tmp_path / name)) for name in ("ray", "serial")]
    assert runs[0] == runs[1]


def test_killed_driver_loses_only_what_was_in_flight(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    space = write_space(tmp_path)
    folder = tmp_path / "results" / "toy"
    driver = subprocess.Popen(
        command("run", space, "--trials", 10),
        cwd=tmp_path,
        env={**os.environ, **cluster, "TOY_SECONDS": "0.3"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    log = folder / "trials.jsonl"
    while not log.exists() or log.read_text().count("\n") < 3:
        assert driver.poll() is None
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    before = trial_lines(folder)
    result = passed(invsearch(tmp_path, "run", space, "--trials", 10, "--resume", **cluster))
    trials = trial_lines(folder)
    assert "resuming" in result.stderr
    assert trials[: len(before)] == before, "a finished trial changed"
    assert sorted(trial["number"] for trial in trials) == list(range(10))
    assert {trial["state"] for trial in trials} == {"complete"}


def test_dead_worker_is_a_failed_trial_and_the_search_goes_on(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    space = write_space(
        tmp_path,
        evaluator="toy_evaluator:murderous",
        params="{x: {range: [4, 6], step: 1}, kind: {choice: [a]}}",
    )
    text = space.read_text().replace("  x: {range: [1, 9], step: 1}\n", "")
    space.write_text(text.replace("  kind: {choice: [a, b]}\n", ""))
    passed(invsearch(tmp_path, "run", space, "--trials", 3, **cluster))
    states = {t["architecture"]["x"]: t for t in trial_lines(tmp_path / "results" / "toy")}
    assert states[5]["state"] == "failed"
    assert "died" in states[5]["error"]
    assert states[4]["state"] == states[6]["state"] == "complete"


def test_module_that_no_worker_can_import_is_refused(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    """Tune would wait for ever in silence."""
    space = write_space(tmp_path)
    (tmp_path / "toy_evaluator.py").write_text(
        "import ray\n"
        "if ray.is_initialized() and ray.get_runtime_context().worker.mode == 1:\n"
        "    raise ImportError('not on a worker')\n"
        "def evaluate(values): return {'error': 1, 'size': 1}\n"
    )
    result = invsearch(tmp_path, "run", space, **cluster)
    assert result.returncode == 2
    assert "not on a worker" in result.stderr
    assert "Traceback" not in result.stderr
