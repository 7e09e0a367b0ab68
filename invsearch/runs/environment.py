"""Where trials ran: hardware, versions and the commit, with an id that trials refer to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from invsearch._version import __version__

__all__ = ["code_state", "describe", "environment_id"]

PACKAGES = ("torch", "optuna", "ray", "fvcore", "numpy", "scikit-learn", "pandas", "pydantic")
# What changes by the minute or by the process on one machine does not say which machine it is.
VOLATILE = {
    "available", "clock", "clocks", "cwd", "date", "free", "frequency", "load", "mhz", "nice",
    "niceness", "pid", "temperature", "threads", "throttled", "time", "timestamp", "uptime",
    "usable",
}  # fmt: skip


def environment_id(facts: Mapping[str, Any]) -> str:
    """Return a short id, equal for equal facts; volatile ones (load, clocks) do not count."""
    text = json.dumps(_stable(facts), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _stable(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: _stable(item)
        for key, item in value.items()
        if key != "id" and VOLATILE.isdisjoint(str(key).lower().split("_"))
    }


def _versions() -> dict[str, str]:
    found = {"invsearch": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    """Run git in the checkout this package is part of; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            errors="surrogateescape",  # a diff holds files of any encoding
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> dict[str, Any]:
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    return {"commit": commit, "modified": bool(_git("status", "--porcelain", "-uno"))}


def code_state() -> dict[str, Any]:
    """What tells one state of this package's code from another: versions, commit and changes."""
    changes = _git("diff", "HEAD", "--", "invsearch", "ops") or ""
    return {
        "versions": _versions(),
        "commit": _git("rev-parse", "HEAD"),
        "changes": hashlib.sha256(changes.encode(errors="surrogateescape")).hexdigest()[:12],
    }


def _machine() -> dict[str, Any]:
    import ops

    found = ops.environment()
    if dataclasses.is_dataclass(found) and not isinstance(found, type):
        return dataclasses.asdict(found)
    return dict(found)


@lru_cache(maxsize=1)
def _describe() -> str:
    facts: dict[str, Any] = {
        "machine": _machine(),
        "versions": _versions(),
        **_commit(),
    }
    return json.dumps({"id": environment_id(facts), **facts}, default=str)


def describe() -> dict[str, Any]:
    """Describe this process's environment.

    Returns:
        ``id`` (twelve hexadecimal digits, the same for every process of one environment),
        ``machine`` (what :func:`ops.environment` says), ``versions`` and, in a git checkout,
        ``commit`` and ``modified``. All of it is JSON.
    """
    described: dict[str, Any] = json.loads(_describe())
    return described
