"""What runs on every node before the first trial, and what it finds."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.errors import InvsearchError
from invsearch.runs import describe
from invsearch.search.executors.machines import different, lacking_devices, running

__all__ = ["Asked", "Found", "inspect", "unseen"]


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
        *different(asked.versions, running(environment)),
        *lacking_devices(asked.gpus, environment, "Ray offers a GPU there"),
        *_problem(asked.problem),
        *_writable(Path(asked.folder) / asked.mark, asked.keep),
    ]
    return Found(tuple(reasons), environment)


def unseen(folder: str, marks: Sequence[str]) -> list[str]:
    """The files of other nodes that cannot be read on this one."""
    return [mark for mark in marks if not _reads(Path(folder) / mark, mark)]


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
