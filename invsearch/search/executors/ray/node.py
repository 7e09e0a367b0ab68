"""What runs on every node before the first trial, and what it finds."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.errors import InvsearchError
from invsearch.runs import describe

__all__ = ["Asked", "Found", "inspect", "running", "unseen"]

_CODE = "invsearch's code"
_COMPARED = ("python", "invsearch", "torch", "optuna", "ray")


@dataclass(frozen=True)
class Asked:
    """What a node is asked about.

    Attributes:
        problem: The problem, pickled: whether it can be loaded is part of the question.
        versions: The driver's, by name.
        gpus: GPUs of a trial.
        folder: Where a worker writes checkpoints.
        mark: Name of the file that this node writes there.
        keep: Whether the file stays, for the others to see.
    """

    problem: bytes
    versions: Mapping[str, str]
    gpus: float
    folder: str
    mark: str
    keep: bool


@dataclass(frozen=True)
class Found:
    """What a node answered.

    Attributes:
        reasons: Why it cannot evaluate; empty where it can.
        environment: What :func:`invsearch.runs.describe` says there.
    """

    reasons: tuple[str, ...]
    environment: Mapping[str, Any]


def inspect(asked: Asked) -> Found:
    """Look at the node that this runs on."""
    environment = describe()
    reasons = [
        *_versions(asked.versions, running(environment)),
        *_devices(asked.gpus, environment),
        *_problem(asked.problem),
        *_writable(Path(asked.folder) / asked.mark, asked.keep),
    ]
    return Found(tuple(reasons), environment)


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


def unseen(folder: str, marks: Sequence[str]) -> list[str]:
    """The files of other nodes that cannot be read on this one."""
    return [mark for mark in marks if not _reads(Path(folder) / mark, mark)]


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


def _versions(wanted: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    return [
        f"{name} is {here.get(name, 'not installed')}, the driver's is {version}: install the same "
        "on every node"
        for name, version in wanted.items()
        if here.get(name) != version
    ]


def _devices(gpus: float, environment: Mapping[str, Any]) -> list[str]:
    if not gpus:
        return []
    import torch

    if torch.cuda.is_available():
        return []
    version = environment["versions"].get("torch")
    return [f"Ray offers a GPU there that torch {version} does not see: install its CUDA build"]


def _problem(packed: bytes) -> list[str]:
    """Import what the space names, and load its data: Tune would wait for ever for what fails."""
    try:
        import invsearch.search.executors.ray.trainable  # noqa: F401

        pickle.loads(packed).check()
    except BaseException as error:  # a module that ends its process when it is imported, too
        text = " ".join(str(error).split())
        reason = text if isinstance(error, InvsearchError) else f"{type(error).__name__}: {text}"
        return [
            f"it cannot evaluate this space: {reason}; install the same invsearch and the space's "
            "own modules and data on every node"
        ]
    return []


def _writable(mark: Path, keep: bool) -> list[str]:
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(mark.name)
        if not keep:
            mark.unlink()
    except OSError as error:
        return [
            f"it cannot write checkpoints to {mark.parent} ({error.strerror}): set "
            "cluster.storage_path to a folder that all nodes share and may write to"
        ]
    return []


def _reads(path: Path, text: str) -> bool:
    try:
        return path.read_text() == text
    except OSError:
        return False
