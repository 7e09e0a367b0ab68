"""Presence: whether nodes that can run a trial are still there."""

from __future__ import annotations

import time

import ray

from invsearch.errors import InputError
from invsearch.search.executors.ray.need import Need

__all__ = ["LOOK_S", "Presence", "is_lost", "is_present"]

LOOK_S = 2.0  # between two looks; the cluster itself takes as long to notice that a node is lost
GRACE_S = 60.0  # a node that is started again is back within half of it, also on a busy machine
_NOTICED_S = 15.0  # of a closed connection the cluster hears in 3 s, else by its health checks


def is_present(node: str) -> bool:
    """Whether a node, by its id, is one that the cluster has not lost."""
    return any(other["NodeID"] == node and other["Alive"] for other in ray.nodes())


def is_lost(node: str, error: Exception) -> bool:
    """Whether an error is a node's going, which the cluster may notice later than a task does."""
    if isinstance(error, ray.exceptions.RayTaskError):  # raised by what ran there
        return False
    if isinstance(error, ray.exceptions.NodeDiedError):
        return True
    until = time.monotonic() + _NOTICED_S
    while is_present(node):
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


class Presence:
    """Whether a trial can run at all: Tune would wait for a node without end, in silence.

    Args:
        need: What a trial takes of a node.
    """

    def __init__(self, need: Need) -> None:
        self._need = need
        self._seen = time.monotonic()
        self._due = self._seen

    def check(self) -> None:
        """Look at the nodes, from time to time.

        Raises:
            InputError: If none that can run a trial has been there for too long.
        """
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LOOK_S
        if self._need.capacity(ray.nodes()):
            self._seen = now
        elif now - self._seen > GRACE_S:
            raise InputError(
                f"the cluster has had no node that can run a trial for {GRACE_S:.0f} s: "
                "start one and go on with --resume"
            )
