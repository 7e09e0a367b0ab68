"""A Ray cluster of several nodes on this machine, started and ended by process id."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
START += ["--object-store-memory=100000000", "--disable-usage-stats"]
LOCAL = "--node-ip-address=127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RayCluster:
    """Nodes that a test starts, kills and ends; a context manager.

    Args:
        home: Ray's home folder.
        authentication: What nodes and drivers authenticate by; the default is a token.
        environment: What nodes and drivers have in their environment besides.

    Attributes:
        nodes: The processes of ``ray start``, the head first.
        environment: What a driver needs in its environment to use the cluster.
    """

    def __init__(
        self, home: Path, authentication: Mapping[str, str] | None = None, **environment: str
    ) -> None:
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._base = {
            **(token if authentication is None else authentication),
            "HOME": str(home),
            "RAY_USAGE_STATS_ENABLED": "0",
            **environment,
        }
        self._port = free_port()
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.address = f"127.0.0.1:{self._port}"
        self.environment = {**self._base, "RAY_ADDRESS": self.address}

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(self, *error: object) -> None:
        stop(self.nodes)

    def head(self, *options: str, cpus: int = 1, **environment: str) -> None:
        """Start the first node; keyword arguments go into its environment."""
        common = (f"--port={self._port}", "--include-dashboard=false")
        self._start("--head", *common, *options, cpus=cpus, **environment)

    def worker(self, *options: str, cpus: int = 1, **environment: str) -> subprocess.Popen[bytes]:
        """Add a node; keyword arguments go into its environment."""
        return self._start(f"--address={self.address}", *options, cpus=cpus, **environment)

    def _start(self, *options: str, cpus: int, **environment: str) -> subprocess.Popen[bytes]:
        alive = sum(node.poll() is None for node in self.nodes)
        node = subprocess.Popen(
            [*START, LOCAL, f"--num-cpus={cpus}", *options],
            env={**os.environ, **self._base, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.nodes.append(node)
        self._wait_for(alive + 1)
        return node

    def _wait_for(self, count: int) -> None:
        code = (
            "import ray, sys, time\n"
            f"ray.init('{self.address}', logging_level={logging.CRITICAL}, log_to_driver=False)\n"
            f"sys.exit(sum(n['Alive'] for n in ray.nodes()) < {count})"
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.2)
                continue
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, **self._base},
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:
                return
        pytest.fail(f"the cluster did not reach {count} nodes")


def stop(nodes: list[subprocess.Popen[bytes]]) -> None:
    """End nodes and what they started, by process id (`ray stop` would end every Ray here)."""
    processes = []
    for node in nodes:
        if node.poll() is None:
            processes += psutil.Process(node.pid).children(recursive=True)
            node.terminate()
    for node in nodes:
        try:
            node.wait(timeout=10)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
    kill(processes)


def kill(processes: list[psutil.Process]) -> None:
    """End processes at once, as a lost machine does."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def lose(node: subprocess.Popen[bytes]) -> None:
    """End a node with all that runs on it."""
    top = psutil.Process(node.pid)
    kill([*top.children(recursive=True), top])
    node.wait()
