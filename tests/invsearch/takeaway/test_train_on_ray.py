"""Workers of a real Ray cluster train one network as torchrun's do, also when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from ray_cluster import RayCluster
from safetensors.torch import load_file
from toy import command, invsearch, one_line

NETWORK = ("train", "rednet26", "--dataset", "digits", "--resolution", 8, "--preset", "proxy")
RECIPE = (
    *("--epochs", 3, "--set", "accuracy.data_fraction=0.2"),
    *("--set", "accuracy.lr=0.01", "--set", "accuracy.optimizer=sgd"),
)


def a_worker() -> psutil.Process:
    """One of those that train."""
    running = psutil.process_iter(["cmdline"])  # None of one that has just ended
    return [p for p in running if "RayTrainWorker" in " ".join(p.info["cmdline"] or [])][-1]


def torchrun(folder: Path, *arguments: object) -> None:
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    subprocess.run(
        [*launch, "--nproc-per-node", "2", "-m", "invsearch", *map(str, arguments)],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=200,
        capture_output=True,
    )  # fmt: skip


@pytest.mark.slow
def test_two_workers_train_bit_for_bit_and_a_killed_one_is_made_up_for(tmp_path: Path) -> None:
    """That torchrun's processes train as one device does is a test of their own."""
    torchrun(tmp_path, *NETWORK, *RECIPE, "-o", "torchrun")
    with RayCluster(tmp_path / "home") as cluster:
        cluster.head()
        cluster.worker()
        address = ("--address", cluster.address, "--workers", 2, "-o", "together")
        driver = subprocess.Popen(
            command(*NETWORK, *RECIPE, *address), cwd=tmp_path, text=True,
            env={**os.environ, **cluster.environment}, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        curves = tmp_path / "together" / "curves.csv"
        deadline = time.monotonic() + 120
        while not curves.exists() and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        a_worker().send_signal(signal.SIGKILL)
        _, errors = driver.communicate(timeout=200)
        assert driver.returncode == 0, errors
        assert errors.count("lr=0.01 ") == 2, errors  # it was begun again,
        assert errors.count("epoch 1 of 3") <= 1, errors  # and not from the beginning; killed
        assert errors.count("epoch 2 of 3") >= 1, errors  # before it was said, it was never said
        refused = invsearch(tmp_path, *NETWORK, "--address", cluster.address, "--workers", 9,
                            "-o", "many", **cluster.environment)  # fmt: skip
        one_line(refused, "--workers 9", "2 CPUs")
        wrong = invsearch(tmp_path, *NETWORK, "--set", "accuracy.batch_size=63", *address[:4],
                          "-o", "odd", **cluster.environment)  # fmt: skip
        one_line(wrong, "batch_size 63", "62 or 64")
    assert not (tmp_path / "together" / ".ray").exists()
    launched, together = (
        load_file(tmp_path / name / "model.safetensors") for name in ("torchrun", "together")
    )
    assert launched.keys() == together.keys()
    assert all(torch.equal(together[name], value) for name, value in launched.items())


def test_workers_are_of_a_cluster_and_train_no_trial(tmp_path: Path) -> None:
    one_line(invsearch(tmp_path, *NETWORK, "--workers", 2, "-o", "out"), "--workers", "--address")
    on_ray = ("train", "run", 0, "--address", "127.0.0.1:1", "-o", "out")
    one_line(invsearch(tmp_path, *on_ray), "--address", "leave TRIAL out")
