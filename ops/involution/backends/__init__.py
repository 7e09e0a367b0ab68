"""Back ends of involution: one ordered table, one predicate.

To add a back end, write a file with a `BACKEND` and give it a row in `TABLE`, faster ones first.
"""

from __future__ import annotations

from torch import Tensor

from ops.hyperparameter import nearest_hint
from ops.involution.backends import cuda, native, torch_backend, unfold
from ops.involution.backends.base import Backend, Fused
from ops.involution.geometry import Geometry

__all__ = ["TABLE", "Backend", "BackendTable", "Fused", "backends", "choose", "find", "problem"]

TABLE: tuple[Backend, ...] = (
    cuda.BACKEND,
    native.BACKEND,
    torch_backend.BACKEND,
    unfold.BACKEND,
)


class BackendTable(dict[str, str]):
    """Back end -> "available", or the reason why it is not; in order of preference."""

    def __str__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{name:<{width}}  {status}" for name, status in self.items())


def backends() -> BackendTable:
    """Says of each back end of involution whether it can run on this machine, and if not why."""
    return BackendTable({row.name: problem(row) or "available" for row in TABLE})


def problem(
    backend: Backend, image: Tensor | None = None, geometry: Geometry | None = None
) -> str | None:
    """Why `backend` cannot run here - on `image` and `geometry`, if given - or None if it can.

    What it refuses is asked first: a tensor of another device must not wake a back end's library.
    """
    reason = None
    if image is not None and geometry is not None:
        reason = backend.refuses(image, geometry)
    return reason or backend.missing()


def choose(name: str | None, image: Tensor, geometry: Geometry) -> Backend:
    """The back end called `name`, or without a name the first of the table that can run.

    Raises:
        ValueError: If there is no back end of that name.
        RuntimeError: If the named one cannot run; says why.
    """
    if name is None:
        return next(row for row in TABLE if problem(row, image, geometry) is None)
    backend = find(name)
    reason = problem(backend, image, geometry)
    if reason is not None:
        raise RuntimeError(f"involution: back end {name!r} cannot run: {reason}")
    return backend


def find(name: str) -> Backend:
    """The back end called `name`.

    Raises:
        ValueError: If there is none; names the nearest.
    """
    for row in TABLE:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in TABLE)
    hint = nearest_hint(str(name), (row.name for row in TABLE))
    raise ValueError(f"involution: no back end is called {name!r}{hint}; there are: {known}")
