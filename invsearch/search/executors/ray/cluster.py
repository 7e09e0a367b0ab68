"""Connecting to Ray: a private cluster on this machine, or an existing one by address."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invsearch.errors import InputError
from invsearch.search.executors.ray.exposure import refuse_exposed
from invsearch.terminal import tell_sigterm

__all__ = ["connected"]

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    # For so long an evaluation may outlive its trial, and the actor of a lost node hold a CPU of
    # another, to which the cluster has moved it, while trials wait; Tune's own value is 600.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
}
_CONNECT_S = 5.0  # a port of one's own network answers in milliseconds, or never


@contextlib.contextmanager
def connected(
    address: str | None, cpus: int | None, *, unauthenticated: bool = False
) -> Iterator[None]:
    """Connect to Ray for the length of a ``with`` block.

    Args:
        address: ``host:port`` or ``auto`` for an existing cluster; None starts one on this machine.
        cpus: CPUs of a cluster started here.
        unauthenticated: Whether a cluster that asks for no token will do.

    Raises:
        InputError: If the address is not usable, nothing answers there, or anyone on the network
            may run code there.
    """
    if address is not None:
        _check_address(address)
    _check_token()
    os.environ.update({k: v for k, v in _ENVIRONMENT.items() if k not in os.environ})
    import ray

    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "include_dashboard": False,
    }
    if address is None:
        options |= {"address": "local", "num_cpus": cpus, "object_store_memory": 100 * 2**20}
    else:
        options |= {"address": address, "runtime_env": {"env_vars": _worker_environment()}}
        del options["include_dashboard"]
    for name in ("ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        raise InputError("Ray is already initialised in this process: call ray.shutdown() first")
    try:
        ray.init(**options)
    except Exception as error:
        where = address or "this machine"
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"cannot connect to Ray at {where}: {reason}") from error
    tell_sigterm()  # Ray's own handler prints a stack of C++ and aborts
    try:
        if address is not None and not unauthenticated:
            head = ray.get_runtime_context().gcs_address if address == "auto" else address
            refuse_exposed(head)
        yield
    finally:
        ray.shutdown()


def _worker_environment() -> dict[str, str]:
    names = ("INVSEARCH_DATA", "INVSEARCH_SHARED")
    return {**_ENVIRONMENT, **{name: os.environ[name] for name in names if name in os.environ}}


def _check_address(address: str) -> None:
    if address.startswith("ray://"):
        raise InputError(
            f"--address {address}: the Ray client protocol is not supported; run the command on a "
            "node of the cluster with --address HOST:PORT, or submit it with `ray job submit`"
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--address {address!r} is not HOST:PORT (for example 10.0.0.1:6379)")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"--address {address}: no Ray cluster answers there ({reason}); start one with "
            "`ray start --head`, or leave --address out to use this machine"
        ) from None


def _check_token() -> None:
    if os.environ.get("RAY_AUTH_MODE") != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not path.is_file():
        raise InputError(
            f"RAY_AUTH_MODE is 'token' but there is neither RAY_AUTH_TOKEN nor the file {path}: "
            "give every node the same token"
        )
