"""The Ray executor, on a cluster of two nodes that these tests start and stop themselves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import training_beside
from ray_cluster import RayCluster
from toy import command, invsearch, passed, trial_lines, without_times, write_space
from training_beside import overlaps, sampled, steps

from invsearch import load_run


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two nodes of one CPU each on this machine; yields the environment that reaches them.

    Their devices are two, as those of two machines are, each with locks of its own: what a test
    beside these measures holds up neither.
    """
    near, far = (str(tmp_path_factory.mktemp(name)) for name in ("near", "far"))
    with RayCluster(tmp_path_factory.mktemp("home")) as nodes:
        nodes.head('--resources={"near": 1}', INVSEARCH_LOCKS=near)
        nodes.worker('--resources={"far": 1}', INVSEARCH_LOCKS=far)
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_terminated_driver_says_so_in_one_line_and_goes_on(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    """Ray's own handler of SIGTERM prints a stack and aborts."""
    space = write_space(tmp_path)
    driver = subprocess.Popen(
        command("run", space, "--trials", 10),
        cwd=tmp_path,
        env={**os.environ, **cluster, "TOY_SECONDS": "0.3"},
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "results" / "toy" / "trials.jsonl"
    while not log.exists() or log.read_text().count("\n") < 2:
        assert driver.poll() is None
        time.sleep(0.05)
    driver.send_signal(signal.SIGTERM)
    errors = driver.communicate(timeout=90)[1]
    assert driver.returncode == 143, errors
    last = "invsearch: terminated: the same command with --resume goes on"
    assert errors.splitlines()[-1] == last
    assert all(line == last or "trial" in line for line in errors.splitlines()), errors
    passed(invsearch(tmp_path, "run", space, "--trials", 10, "--resume", **cluster))
    assert sorted(trial["number"] for trial in trial_lines(log.parent)) == list(range(10))


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


@pytest.mark.slow
def test_promotions_on_ray_survive_a_kill_and_are_the_serial_ones(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    """The driver is killed when a trial that had stopped goes on."""
    search = "{strategy: random, trials: 14, seed: 1, rungs: [1, 3], promote: true, parallel: 2}"
    space = write_space(tmp_path, evaluator="toy_evaluator:learning", search=search)
    run = ("run", space, "--deterministic", "--out")
    on_ray = (*run, "ray", "--address", cluster["RAY_ADDRESS"])
    driver = subprocess.Popen(
        command(*on_ray),
        cwd=tmp_path,
        env={**os.environ, **cluster, "TOY_SECONDS": "0.05"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    journal = tmp_path / "ray" / "study.journal"
    while not journal.exists() or '"promoted"' not in journal.read_text():
        assert driver.poll() is None
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    passed(invsearch(tmp_path, *on_ray, "--resume", **cluster))
    passed(invsearch(tmp_path, *run, "serial", "--executor", "serial"))
    outcomes = []
    for name in ("ray", "serial"):
        trials = [{**t.to_json(), "origin": "sampler"} for t in load_run(tmp_path / name).trials]
        outcomes.append(without_times(trials))
        assert not list((tmp_path / name).glob("checkpoints/*"))
    assert outcomes[0] == outcomes[1]
    assert (tmp_path / "ray" / "promotions.jsonl").exists()


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


def latency_space(folder: Path, resource: str) -> Path:
    path = folder / "far.yaml"
    path.write_text(
        "name: far\n"
        "objectives: {latency_ms@far: minimize, latency_ms@near: minimize, val_loss: minimize}\n"
        "model: {family: rednet, depth: 26, width: 0.125, resolution: 16, num_classes: 10}\n"
        "space: {kernel_size: {choice: [3, 5, 7]}, group_channels: {choice: [4, 8]}}\n"
        f"latency: {{targets: {{far: {{resource: {resource}, undisturbed: false}},"
        " near: {undisturbed: false}}}\n"
        "accuracy: {dataset: digits, epochs: 1, baselines: false, proxy: {resolution: 8}}\n"
        "search: {trials: 4, parallel: 2, strategy: random}\n"
    )
    return path


def test_latency_is_measured_on_the_node_that_has_the_device(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    """Near on the driver's machine, far by a task on the other node, and never both at a time.

    Both nodes train, and neither does while something is measured: the timestamps say so.
    """
    path = latency_space(tmp_path, "far")
    passed(invsearch(tmp_path, "run", path, "--out", "run", **cluster))
    spans, trained, nodes = [], [], set()
    for line in trial_lines(tmp_path / "run"):
        assert line["state"] == "complete"
        trained.append((line["started"], line["finished"]))
        for name, metric in line["metrics"].items():
            if "@" in name:
                detail = metric["detail"]
                spans.append((detail["began"], detail["ended"]))
                nodes.add((name, detail.get("node_id")))
    assert len(nodes) == 2
    assert dict(nodes)["latency_ms@far"]
    assert dict(nodes)["latency_ms@near"] is None
    spans.sort()
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert len(trained) == 4
    assert all(b <= began or ended <= a for a, b in spans for began, ended in trained)
    trained.sort()
    assert any(began < end for (_, end), (began, _) in pairwise(trained)), "none trained at a time"


def test_a_resource_that_no_node_has_is_one_line(tmp_path: Path, cluster: dict[str, str]) -> None:
    path = latency_space(tmp_path, "moon")
    done = invsearch(tmp_path, "run", path, "--out", "run", **cluster)
    assert done.returncode == 2
    assert "no node of the Ray cluster has the resource 'moon'" in done.stderr
    assert "Traceback" not in done.stderr


BESIDE = """
import json, sys, time
from pathlib import Path
import ray
from invsearch.latency.remote import ask_on_node
from invsearch.latency.target import Target
from invsearch.models import network_spec, proxy_spec

tests, here = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, tests)
from training_beside import wait_for_steps


@ray.remote(num_cpus=0)
def training(log, stop):
    sys.path.insert(0, tests)
    from training_beside import train
    train(log, stop)
    return ray.get_runtime_context().get_node_id()


ray.init(log_to_driver=False)
stop = here / "stop"
running = [
    training.options(resources={node: 0.001}).remote(here / node, stop) for node in ("near", "far")
]
for node in ("near", "far"):
    wait_for_steps(here / node, 20)
spec = network_spec({"family": "rednet", "depth": 26}, {})
spec = proxy_spec(spec, width=0.125, num_classes=10, in_channels=3)
found = [ask_on_node("far", spec, (1, 3, 16, 16), Target())["detail"] for _ in range(2)]
wait_for_steps(here / "far", 20)
stop.touch()
print(json.dumps([found, ray.get(running)]))
"""


def test_on_two_nodes_no_sample_overlaps_a_training_on_its_device(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    """By the timestamps of all; the training on the other node's device goes on meanwhile."""
    (tmp_path / "beside.py").write_text(BESIDE)
    # away from tests/invsearch, which would be taken for the package
    program = Path(shutil.copy(training_beside.__file__, tmp_path))
    done = subprocess.run(
        [sys.executable, "beside.py", str(program.parent), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, **cluster},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    details, (near_node, far_node) = json.loads(done.stdout)
    assert near_node != far_node
    assert {detail["node_id"] for detail in details} == {far_node}
    measured = [sampled(detail) for detail in details]
    near, far = steps(tmp_path / "near"), steps(tmp_path / "far")
    assert not overlaps(far, measured)
    assert far[0][1] < measured[0][0] < measured[1][1] < far[-1][0]
    between = (measured[0][1], measured[1][0])
    assert overlaps(far, [between]), "the training starved"
    assert overlaps(near, measured), "a training on another device waited"
