"""`python -m invsearch.bench.gpu`: everything that the operator must reach on a GPU, unattended.

Checks correctness first, then measures every row of `rows` within `--seconds`, and writes one
JSON with the machine's description. What was measured so far lies beside it in a file of its own,
which is whole at any time and renamed at the end: a run that is cut short, or is of some rows only,
replaces nothing, and loses nothing either.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ops
from invsearch.bench.gpu.budget import sampling_seconds
from invsearch.bench.gpu.rows import ROWS, GpuClaim, GpuFigure
from invsearch.bench.gpu.session import GpuSession
from invsearch.bench.gpu.watch import watched
from invsearch.errors import InputError

__all__ = ["OUTPUT", "SECONDS", "main", "run", "wanted"]

OUTPUT = Path("results/bench-gpu.json")
SECONDS = 540.0
"""A minute less than ten: machines that are lent by the command start and end within them, too."""

Progress = Callable[[str], None]


def run(session: GpuSession, progress: Progress) -> None:
    """Checks, then measures the planned rows; saves after each, the whole is the caller's to save.

    Raises:
        InputError: If there is no GPU that the CUDA back end runs on.
    """
    require_gpu()
    session.save()
    progress("checking every operator against fp64")
    _check(session, progress)
    _measure_copy(session, progress)
    session.save()
    for index in range(len(session.planned)):
        one = _measured(session, index)
        session.rows.append(one)
        progress(f"[{session.seconds:.0f} s, {index + 1}/{len(session.planned)}] {one}")
        session.save()
    session.complete = list(session.planned) == list(ROWS) and not session.broken


def require_gpu() -> None:
    """Raises InputError, saying why, unless the CUDA back end can run."""
    reason = ops.backends()["cuda"]
    if reason != "available":
        raise InputError(f"bench-gpu: nothing was measured and nothing written: {reason}")


def wanted(names: Sequence[str]) -> list[GpuClaim]:
    """The rows whose name begins with one of these, up to a slash; without names all.

    Raises:
        InputError: If a name fits none.
    """
    for name in names:
        if not any(_begins(row, name) for row in ROWS):
            kinds = ", ".join(dict.fromkeys(row.kind for row in ROWS))
            raise InputError(f"bench-gpu: no row is called {name!r}; there are: {kinds}")
    return [row for row in ROWS if not names or any(_begins(row, name) for name in names)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code.

    0; 1 if something is wrong, failed, or the run was stopped; 2 without a GPU.
    """
    options = _parser().parse_args(arguments)
    try:
        rows = wanted(options.names)
        if options.plan:
            print("\n".join(f"{row.name}: {GpuFigure(row, None, 'planned')}" for row in rows))
            return 0
        session = GpuSession(options.device, options.output, rows, options.seconds)
        with watched(options.seconds, lambda reason: _say(_stopped(session, reason))):
            run(session, _say)
            path = session.save()
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"written to {path} after {session.seconds:.0f} s")
    return 0 if session.good else 1


def _check(session: GpuSession, progress: Progress) -> None:
    from invsearch.bench.gpu.cases import broken
    from invsearch.bench.gpu.checks import checks

    for one in checks(session.device):
        session.checks.append(one.as_dict())
        if not one.passed:
            progress(f"wrong: {one.what}: {one.reason or one.error}")
    if any(one["error"] is None for one in session.checks):
        session.broken = broken(session.device)


def _measure_copy(session: GpuSession, progress: Progress) -> None:
    from invsearch.bench.gpu.cases import copy_rate

    if session.broken:
        return
    try:
        session.copy = copy_rate(session.device)
        progress(f"copy bandwidth: {session.copy['value']:.0f} GB/s")
    except Exception as error:  # the rows say for themselves what is wrong
        progress(f"copy bandwidth: not measured ({type(error).__name__}: {error})")


def _measured(session: GpuSession, index: int) -> GpuFigure:
    """One of the planned rows. If it breaks the GPU's context, the session is told."""
    from invsearch.bench.gpu.cases import broken, measure_row

    row = session.planned[index]
    reason = session.refused(row)
    if reason:
        return GpuFigure(row, None, reason)
    seconds = sampling_seconds(session.planned[index:], session.left)
    one = measure_row(row, session.device, seconds)
    if one.failed and not session.broken:
        why = broken(session.device)
        session.broken = f"since {row.name} this process cannot use the GPU: {why}" if why else None
    return one


def _stopped(session: GpuSession, reason: str) -> str:
    return f"{reason}: written to {session.stop(reason)} after {session.seconds:.0f} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m invsearch.bench.gpu", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="ROW", help="bare, bare/s1, ...; default: all")
    add("--plan", action="store_true", help="print what would be measured")
    add("--device", default="cuda", help="cuda, cuda:1, ...")
    add("--seconds", type=float, default=SECONDS, help=f"of the whole; default: {SECONDS:.0f}")
    add("-o", "--output", type=Path, default=OUTPUT, help=f"default: {OUTPUT}")
    return parser


def _begins(row: GpuClaim, name: str) -> bool:
    return f"{row.name}/".startswith(f"{name.rstrip('/')}/")


def _say(line: str) -> None:
    print(line, flush=True)
