"""A PostgreSQL server in a folder of its own, ended by process id."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import free_port

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
USER = "searcher"


class PostgresServer:
    """A server that listens on this machine and asks for a password.

    Attributes:
        url: Of its database, without the password.
        password: The password.
        process: The server.
    """

    def __init__(self, folder: Path, account: str | None) -> None:
        self.password = f"pw-{secrets.token_hex(8)}"
        port = free_port()
        self.url = f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        self._log = folder / "log"
        data = folder / "data"
        secret = folder / "password"
        secret.write_text(self.password)
        if account is not None:
            for path in (folder, secret):
                shutil.chown(path, account)
        made = [PROGRAMS[-1] / "initdb", "-D", data, "-U", USER, "--auth=scram-sha-256"]
        subprocess.run(
            [*made, f"--pwfile={secret}", "--no-sync"],
            user=account,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [PROGRAMS[-1] / "postgres", "-D", data, "-p", str(port), "-k", folder, "-F"],
                user=account,
                stdout=log,
                stderr=log,
            )
        self._wait(port)

    @property
    def with_password(self) -> str:
        """The URL with the password."""
        return self.url.replace("@", f":{self.password}@")

    def stop(self) -> None:
        """End the server at once, and its sessions with it."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)

    def _wait(self, port: int) -> None:
        ready = [PROGRAMS[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
        deadline = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode != 0:
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server for the length of a ``with`` block; a skip where none is installed."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    if not PROGRAMS:
        pytest.skip("no PostgreSQL server is installed under /usr/lib/postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short, for the socket's path; not root's alone
    server = None
    try:
        server = PostgresServer(folder, _account())
        yield server
    finally:
        if server is not None and server.process.poll() is None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> str | None:
    """Whose process the server is: it refuses to be root's."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
