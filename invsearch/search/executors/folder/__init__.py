"""``folder``: workers that are started anywhere on a shared folder, without any server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invsearch.errors import InputError
from invsearch.search.executors.executor import Executor, Workers

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem
    from invsearch.search.session import Session

__all__ = ["FOLDER"]


@contextmanager
def _open(problem: Problem, address: str | None) -> Iterator[Workers]:
    from invsearch.search.executors.folder.driver import run_folder

    _refuse(problem)
    cluster, parallel = problem.file.cluster, problem.file.search.parallel
    wanted = parallel if isinstance(parallel, int) else None

    def run(session: Session) -> None:
        run_folder(session, cluster.lease, wanted)

    yield Workers(wanted or 1, run)


def _refuse(problem: Problem) -> None:
    """Refuse what only a Ray cluster can do, or means.

    Raises:
        InputError: It names the setting.
    """
    file = problem.file
    targets = file.latency.targets if file.latency is not None else {}
    for name, target in targets.items():
        if target.resource is not None and not isinstance(target.table, str):
            raise InputError(
                f"latency.targets.{name}.resource {target.resource!r} is measured on a Ray "
                "cluster: use --executor ray, or the file of a table that was measured there"
            )
    for name, why in _RAYS.items():
        if getattr(file.cluster, name):
            raise InputError(f"cluster.{name} means nothing to the executor folder: {why}")


_RAYS = {
    "address": "workers find the run by its folder; leave it out",
    "resources": "start workers where trials may run; leave it out",
    "storage_path": "checkpoints are in the run's folder, which all share; leave it out",
    "autoscale": "workers may come and go at any time; leave it out",
}

FOLDER = Executor(_open, guards=True)
