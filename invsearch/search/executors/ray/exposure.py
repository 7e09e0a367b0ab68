"""Whether anybody on the network may run code on a cluster.

A head that was started without a token listens on all interfaces, even with a loopback address of
its node, and takes a client with a token as gladly as one without: only asking without one tells.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

from invsearch.errors import InputError

__all__ = ["refuse_exposed"]

_PROBE_S = 20.0  # Python and Ray's library from a cold disk; it answers in a quarter of a second
_CONNECT_S = 1.0  # to an interface of this machine
_LOOPBACK = ("127.", "::1", "localhost")
_NOWHERE = "192.0.2.1"  # reserved for documentation: nothing is sent, only a route is looked up
_PROBE = """
import sys
from ray._raylet import GcsClient
GcsClient(address=sys.argv[1]).check_alive([], 5)
"""


def refuse_exposed(address: str) -> None:
    """Refuse a cluster that takes orders from anyone who can reach it over a network.

    Args:
        address: ``host:port`` of the head.

    Raises:
        InputError: If it does.
    """
    if _asks_no_token(address) and _reachable(address):
        raise InputError(
            f"the Ray cluster at {address} listens on the network and asks for no token, so that "
            "anyone who reaches it runs code there: start every node with RAY_AUTH_MODE=token and "
            "one RAY_AUTH_TOKEN (docs/cluster.md), or pass --set cluster.unauthenticated=true"
        )


def _asks_no_token(address: str) -> bool:
    """Whether a client without a token is answered; in a process of its own, for its settings."""
    secret = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    environment = {name: value for name, value in os.environ.items() if name not in secret}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, address],
            env={**environment, "RAY_AUTH_MODE": "disabled"},
            capture_output=True,
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _reachable(address: str) -> bool:
    """Whether the port answers on an interface that is not this machine's own loop."""
    host, _, port = address.rpartition(":")
    if not host.strip("[]").startswith(_LOOPBACK):
        return True
    return any(_answers(own, int(port)) for own in _own_addresses())


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True


def _own_addresses() -> set[str]:
    """This machine's addresses on networks."""
    found = set()
    with contextlib.suppress(OSError):  # a name that nothing resolves
        found |= {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None)}
    with (
        contextlib.suppress(OSError),  # no route: no network
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
    ):
        probe.connect((_NOWHERE, 9))
        found.add(str(probe.getsockname()[0]))
    return {address for address in found if not address.startswith(_LOOPBACK)}
