"""Giving a trial to a worker and taking it back: where its checkpoint goes meanwhile."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invsearch.search.executors.folder.place import Place, move, read, remove, write
from invsearch.search.executors.folder.seen import Lease, Seen
from invsearch.search.proposal import Proposal

__all__ = ["end", "fence", "grant", "recover"]


def grant(place: Place, worker: Seen, proposal: Proposal, task: Mapping[str, Any]) -> None:
    """Give a worker a trial, with what was saved of it.

    Args:
        place: The run's folder of workers.
        worker: Who gets it.
        proposal: The trial.
        task: What the worker is told.

    Raises:
        FileNotFoundError: If the worker's folder is gone, and the worker with it.
    """
    path = worker.path / f"{proposal.number}-{secrets.token_hex(4)}"
    path.mkdir()
    write(path / "task.json", task)  # first: it says whose the checkpoint is, through a kill
    move(place.checkpoint(proposal.number), path / "checkpoint")
    worker.lease = Lease(path, task, proposal, {})
    worker.order()


def fence(place: Place, lease: Lease) -> None:
    """Move what was saved to where it rests: from now on the worker cannot change it."""
    move(lease.path / "checkpoint", place.checkpoint(lease.key[0]))


def end(worker: Seen) -> None:
    """Take the lease, which was fenced, from a worker."""
    lease, worker.lease = worker.lease, None
    assert lease is not None
    worker.order(leave=worker.refused)
    remove(lease.path)


def recover(place: Place, worker: Seen) -> None:
    """Put back what a driver that was killed had moved to a worker that it had not told of it."""
    for path in _leases(worker.path):
        if worker.lease is None or path != worker.lease.path:
            fence(place, Lease(path, read(path / "task.json") or {}, None, {}))
            remove(path)


def _leases(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if read(path / "task.json") is not None]
