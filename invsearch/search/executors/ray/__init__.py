"""``ray``: Ray Tune, on a private cluster of this machine or on an existing one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invsearch.search.executors.executor import Executor, Workers

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem
    from invsearch.search.session import Session

__all__ = ["RAY"]


@contextmanager
def _open(problem: Problem, address: str | None) -> Iterator[Workers]:
    """Connect to the cluster, which sets what Ray reads when it is imported, then import Ray."""
    from invsearch.search.executors.ray.cluster import connected

    cluster, parallel = problem.file.cluster, problem.file.search.parallel
    address = address or cluster.address or os.environ.get("RAY_ADDRESS") or None
    wanted = parallel if isinstance(parallel, int) else 0
    cpus = max(_cores(), int(wanted * cluster.cpus_per_trial)) if address is None else None
    with connected(address, cpus):
        import ray

        from invsearch.search.executors.ray.executor import run_ray

        def run(session: Session) -> None:
            run_ray(
                session,
                cpus=cluster.cpus_per_trial,
                gpus=cluster.gpus_per_trial,
                storage=cluster.storage_path,
            )

        available = ray.cluster_resources().get("CPU", 1)
        yield Workers(wanted or max(1, int(available // cluster.cpus_per_trial)), run)


def _cores() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


RAY = Executor(_open, takes_address=True)
