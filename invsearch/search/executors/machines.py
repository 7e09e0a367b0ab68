"""What two machines must share so that one evaluates what the other asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["different", "lacking_devices", "running", "versions_of"]

_CODE = "invsearch's code"
# what a trial's value, or the form of what is sent, hangs on
_COMPARED = ("python", "invsearch", "torch", "optuna", "ray")


def running(environment: Mapping[str, Any]) -> dict[str, str]:
    """What this process runs, by name: the versions, and which code has invsearch's."""
    return {**versions_of(environment), _CODE: _code()}


def versions_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """The versions that must be equal on all nodes.

    Of Python the first two parts; of the others without the local part, which tells a build for
    CPUs from one for GPUs.
    """
    python = str(environment["machine"]["python"]).split(".")[:2]
    found = {**environment["versions"], "python": ".".join(python)}
    return {name: str(found[name]).partition("+")[0] for name in _COMPARED if name in found}


def different(wanted: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What is not the driver's, a reason each.

    Args:
        wanted: What :func:`running` says where the driver is.
        here: The same of this machine.
    """
    return [
        f"{name} is {here.get(name, 'not installed')}, the driver's is {version}: install the same "
        "on every node"
        for name, version in wanted.items()
        if here.get(name) != version
    ]


def lacking_devices(gpus: float, environment: Mapping[str, Any], who: str) -> list[str]:
    """Whether torch sees none of the GPUs that trials are to have, as a reason.

    Args:
        gpus: GPUs of a trial.
        environment: What :func:`invsearch.runs.describe` said there.
        who: Who says that there is one.
    """
    if not gpus:
        return []
    import torch

    if torch.cuda.is_available():
        return []
    version = environment["versions"].get("torch")
    return [f"{who} that torch {version} does not see: install its CUDA build"]


def _code() -> str:
    """A digest of the source: commits of one version differ, and Ray hands over classes by name."""
    import invsearch
    import ops

    digest = hashlib.sha256()
    for package in (invsearch, ops):
        for root in map(Path, package.__path__):
            for path in sorted(root.rglob("*.py")):
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
