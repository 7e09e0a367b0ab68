"""Before the first trial: nodes that lack something, differ, share nothing, are open to all."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle
from ray_cluster import RayCluster
from toy import invsearch, one_line, passed, trial_lines, write_space

from invsearch.errors import InputError
from invsearch.runs import describe
from invsearch.search.executors.machines import running, versions_of
from invsearch.search.executors.ray.checkpoints import claim
from invsearch.search.executors.ray.exposure import _own_addresses
from invsearch.search.executors.ray.need import Need
from invsearch.search.executors.ray.node import Asked, inspect
from invsearch.testing.problems import landscape

SECOND = "127.0.0.2"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two nodes that differ: the first has a resource, the second another pandas and a lack."""
    folder = tmp_path_factory.mktemp("nodes")
    other = folder / "other" / "pandas-0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 0.1\n")
    with RayCluster(folder) as nodes:
        nodes.head('--resources={"blue": 1}')
        path = f"{other.parent}:{ROOT}"
        nodes.worker(f"--node-ip-address={SECOND}", TOY_LACKS="1", PYTHONPATH=path)
        yield nodes.environment


def test_a_node_that_lacks_a_module_is_named(tmp_path: Path, cluster: dict[str, str]) -> None:
    space = write_space(tmp_path)
    text = (tmp_path / "toy_evaluator.py").read_text()
    lack = "import os\nif 'TOY_LACKS' in os.environ:\n    import toy_module_of_the_first_node\n"
    (tmp_path / "toy_evaluator.py").write_text(f"{text}\n{lack}")
    line = one_line(invsearch(tmp_path, "run", space, **cluster), SECOND, "toy_module_of_the_first")
    assert line.count("node ") == 1, "the first node is sound"


@pytest.mark.slow
def test_storage_that_is_not_shared_is_refused(tmp_path: Path, cluster: dict[str, str]) -> None:
    """The path is each process's own folder: every node writes, and nobody sees the others'."""
    space = write_space(tmp_path, cluster="{storage_path: /proc/self/cwd/not-shared}")
    result = invsearch(tmp_path, "run", space, **cluster)
    shutil.rmtree("not-shared", ignore_errors=True)  # the nodes were started in this folder
    assert result.returncode == 2
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 2, result.stderr
    assert sum(SECOND in line for line in lines) == 1, "a line each"
    assert all("storage_path" in line for line in lines)
    assert not list(tmp_path.glob("not-shared/*/.preflight*"))


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ("{resources: {purple: 1}}", ("1 purple", "0 purple", SECOND)),
        ("{cpus_per_trial: 64}", ("64 CPU", "1 CPU")),
        ("{gpus_per_trial: 0.5, resources: {blue: 1}}", ("0.5 GPU", "1 blue")),
    ],
)
def test_what_no_node_can_run_is_refused(
    tmp_path: Path, cluster: dict[str, str], needs: str, words: tuple[str, ...]
) -> None:
    """Tune would wait for such a node without end."""
    space = write_space(tmp_path, cluster=needs)
    one_line(invsearch(tmp_path, "run", space, **cluster), "no node", *words)


def test_trials_carry_the_environment_of_their_node(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    """One trial waits for another node's; each has the environment that it ran in."""
    space = write_space(tmp_path, evaluator="toy_evaluator:located")
    (tmp_path / "toy_evaluator.py").write_text(
        "import os, pathlib, time\n"
        "def located(values):\n"
        f"    seen = pathlib.Path({str(tmp_path)!r})\n"
        "    second = 'TOY_LACKS' in os.environ\n"
        "    (seen / f'{second}.seen').touch()\n"
        "    end = time.monotonic() + 120\n"
        "    while len(list(seen.glob('*.seen'))) < 2 and time.monotonic() < end:\n"
        "        time.sleep(0.05)\n"
        "    return {'error': values['x'], 'size': -values['x'], 'second': second}\n"
    )
    passed(invsearch(tmp_path, "run", space, **cluster))
    trials = trial_lines(tmp_path / "results" / "toy")
    by_node: dict[float, set[str]] = {0.0: set(), 1.0: set()}
    for trial in trials:
        by_node[trial["metrics"]["second"]["value"]].add(trial["environment"])
    assert [len(ids) for ids in by_node.values()] == [1, 1]
    known = environments(tmp_path / "results" / "toy")
    (second,) = by_node[1.0]
    assert known[second]["versions"]["pandas"] == "0.1"
    assert by_node[0.0] == known.keys() - {second}


@pytest.mark.slow
def test_trials_go_where_their_resource_is(tmp_path: Path, cluster: dict[str, str]) -> None:
    """Half of the first node's only blue, and half of its CPU: two at a time, all of them there."""
    space = write_space(
        tmp_path,
        evaluator="toy_evaluator:paired",
        cluster="{cpus_per_trial: 0.5, resources: {blue: 0.5}}",
        search="{trials: 4, seed: 1}",
    )
    (tmp_path / "toy_evaluator.py").write_text(
        "import os, pathlib, time\n"
        "def paired(values):\n"
        f"    seen = pathlib.Path({str(tmp_path)!r})\n"
        "    (seen / f'{os.getpid()}.seen').touch()\n"
        "    end = time.monotonic() + 120\n"
        "    while len(list(seen.glob('*.seen'))) < 2 and time.monotonic() < end:\n"
        "        time.sleep(0.05)\n"
        "    second = 'TOY_LACKS' in os.environ\n"
        "    return {'error': values['x'], 'size': 1, 'second': second, 'pid': os.getpid()}\n"
    )
    passed(invsearch(tmp_path, "run", space, **cluster))
    trials = trial_lines(tmp_path / "results" / "toy")
    assert {trial["metrics"]["second"]["value"] for trial in trials} == {0.0}
    assert len({trial["metrics"]["pid"]["value"] for trial in trials}) == 2


def environments(folder: Path) -> dict[str, Any]:
    import json

    first = json.loads((folder / "environment.json").read_text())
    return {first["id"]: first, **first.get("further", {})}


@pytest.mark.slow
def test_an_open_head_is_refused_unless_asked_for(tmp_path: Path) -> None:
    """Even for a driver that has a token: such a head takes anybody."""
    if not _own_addresses():
        pytest.skip("this machine is on no network: nothing is open to anyone")
    space = write_space(tmp_path)
    with RayCluster(tmp_path, {"RAY_AUTH_MODE": "disabled"}) as nodes:
        nodes.head()
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
        for more in ({}, token):
            result = invsearch(tmp_path, "run", space, **{**nodes.environment, **more})
            one_line(result, nodes.address, "token", "unauthenticated")
        asked = ("--set", "cluster.unauthenticated=true", "--trials", 1)
        passed(invsearch(tmp_path, "run", space, *asked, **nodes.environment))


def asked(tmp_path: Path, **changed: Any) -> Asked:
    problem = cloudpickle.dumps(landscape(tmp_path))
    settings: dict[str, Any] = {
        "problem": problem,
        "versions": versions_of(describe()),
        "gpus": 0,
        "folder": str(tmp_path / "checkpoints"),
        "mark": "mark",
        "keep": False,
    }
    return Asked(**{**settings, **changed})


def test_a_sound_node_has_nothing_to_say(tmp_path: Path) -> None:
    found = inspect(asked(tmp_path))
    assert found.reasons == ()
    assert found.environment["id"] == describe()["id"]
    assert not (tmp_path / "checkpoints" / "mark").exists()


def test_all_that_is_wrong_with_a_node_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    versions = {**versions_of(describe()), "torch": "1.0", "ray": "0.8"}
    wrong = asked(tmp_path, versions=versions, gpus=0.5, folder=str(tmp_path / "file" / "under"))
    reasons = inspect(wrong).reasons
    words = ["torch is", "ray is", "checkpoints"]
    import torch

    words += [] if torch.cuda.is_available() else ["GPU"]
    for word in words:
        assert sum(word in reason for reason in reasons) == 1, reasons
    assert len(reasons) == len(words)


def test_another_commit_of_one_version_is_refused(tmp_path: Path) -> None:
    """Its actors would fail as they start, three times for every trial."""
    copy = tmp_path / "other"
    for package in ("invsearch", "ops"):
        shutil.copytree(ROOT / package, copy / package)
    changed = copy / "invsearch" / "errors.py"
    changed.write_text(f"{changed.read_text()}\n\ndef added() -> None: ...\n")
    ask = "from invsearch.runs import describe\n"
    ask += "from invsearch.search.executors.machines import running\n"
    ask += "print(running(describe()))"
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=True,
    )
    versions = ast.literal_eval(done.stdout)
    (reason,) = inspect(asked(tmp_path, versions=versions)).reasons
    assert "code" in reason
    assert "install the same" in reason
    assert inspect(asked(tmp_path, versions=running(describe()))).reasons == ()


def test_a_build_of_torch_for_another_device_is_the_same_version() -> None:
    here = describe()
    other = {**here, "versions": {**here["versions"], "torch": "2.13.0+cu130"}}
    same = {**here, "versions": {**here["versions"], "torch": "2.13.0+cpu"}}
    assert versions_of(other) == versions_of(same)


def test_a_problem_whose_import_ends_the_process_is_a_reason(tmp_path: Path) -> None:
    class Leaving:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, ("raise SystemExit('gone')",)

    (reason,) = inspect(asked(tmp_path, problem=cloudpickle.dumps(Leaving()))).reasons
    assert "SystemExit: gone" in reason


@pytest.mark.parametrize(
    ("need", "offered", "slots"),
    [
        (Need(), {"CPU": 4}, 4),
        (Need(cpus=3), {"CPU": 8}, 2),
        (Need(cpus=1, gpus=0.3), {"CPU": 16, "GPU": 1}, 3),
        (Need(cpus=1, gpus=0.1), {"CPU": 16, "GPU": 1}, 10),
        (Need(cpus=1, gpus=2), {"CPU": 16, "GPU": 3}, 1),
        (Need(cpus=1, gpus=1), {"CPU": 16}, 0),
        (Need(cpus=0.1, resources={"a": 2, "b": 1}), {"CPU": 1, "a": 5, "b": 9}, 2),
    ],
)
def test_trials_that_fit_a_node(need: Need, offered: dict[str, float], slots: int) -> None:
    assert need.slots(offered) == slots


def test_nodes_are_summed_and_dead_ones_are_not() -> None:
    """Two halves of what a trial needs are no whole."""
    nodes = [
        {"Alive": True, "NodeManagerAddress": "a", "Resources": {"CPU": 3, "GPU": 1}},
        {"Alive": True, "NodeManagerAddress": "b", "Resources": {"CPU": 5}},
        {"Alive": False, "NodeManagerAddress": "c", "Resources": {"CPU": 64, "GPU": 8}},
    ]
    assert Need(cpus=2).capacity(nodes) == 3
    with pytest.raises(InputError, match=r"a has 3 CPU \+ 1 GPU, b has 5 CPU \+ 0 GPU"):
        Need(cpus=4, gpus=1).check(nodes)


def test_a_checkpoint_of_another_trial_is_not_taken_up(tmp_path: Path) -> None:
    """A node whose folder is not the driver's may hold what an earlier run left there."""
    folder = tmp_path / "3"
    claim(folder, {"architecture": [["x", 1]], "seed": 5})
    (folder / "weights").write_text("of x = 1")
    claim(folder, {"architecture": [["x", 1]], "seed": 5})
    assert (folder / "weights").exists()
    claim(folder, {"architecture": [["x", 2]], "seed": 5})
    assert not (folder / "weights").exists()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{gpus_per_trial: 1.5}", ("gpus_per_trial", "1.5", "whole")),
        ("{resources: {GPU: 1}}", ("gpus_per_trial",)),
        ("{resources: {blue: 0}}", ("blue", "0")),
        ("{resources: {blue: lots}}", ("blue", "lots")),
        ("{resource: {blue: 1}}", ("resource", "resources")),
        ("{autoscale: true}", ("search.parallel",)),
    ],
)
def test_bad_sections_are_one_line(tmp_path: Path, section: str, words: tuple[str, ...]) -> None:
    space = write_space(tmp_path, cluster=section)
    one_line(invsearch(tmp_path, "run", space, "--executor", "ray"), *words)
