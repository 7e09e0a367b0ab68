"""``ray``: Ray Tune, on a private cluster of this machine or on an existing one."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invsearch.errors import InputError
from invsearch.search.executors.executor import Executor, Workers

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem
    from invsearch.search.session import Session

__all__ = ["RAY"]


@contextmanager
def _open(problem: Problem, address: str | None) -> Iterator[Workers]:
    """Connect to the cluster, which sets what Ray reads when it is imported, then import Ray."""
    from invsearch.search.executors.ray.cluster import connected
    from invsearch.search.executors.ray.need import Need

    cluster, parallel = problem.file.cluster, problem.file.search.parallel
    need = Need.of(cluster)
    address = address or cluster.address or os.environ.get("RAY_ADDRESS") or None
    wanted = parallel if isinstance(parallel, int) else 0
    if cluster.autoscale and not wanted:
        raise InputError(
            "cluster.autoscale needs search.parallel: how many trials may run at a time, once the "
            "cluster has grown"
        )
    cpus = max(_cores(), math.ceil(wanted * need.cpus)) if address is None else None
    with connected(address, cpus, unauthenticated=cluster.unauthenticated):
        import ray

        from invsearch.search.executors.ray.executor import run_ray

        def run(session: Session) -> None:
            run_ray(session, need, storage=cluster.storage_path)

        if not cluster.autoscale:
            need.check(ray.nodes())
        yield Workers(wanted or need.capacity(ray.nodes()), run)


def _cores() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


RAY = Executor(_open, takes_address=True)
