"""`python -m invsearch.bench.gpu`: everything that the operator must reach on a GPU, unattended.

Checks correctness first, then measures every row of `gpu_rows` within ten minutes and writes one
JSON with the machine's description. What was measured so far lies beside it in a file of its own,
which is renamed at the end: a run that is cut short, or is of some rows only, replaces nothing, and
loses nothing either.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import ops
from invsearch._version import __version__
from invsearch.bench.gpu_rows import ROWS, Measured, Row
from invsearch.errors import InputError

__all__ = ["OUTPUT", "SCHEMA", "Session", "main", "run", "wanted"]

SCHEMA = 1
OUTPUT = Path("results/bench-gpu.json")
MOST_SECONDS = 600.0
RESERVE_SECONDS = {"network": 90.0, "fused": 25.0, "backward": 30.0, "first": 45.0}
"""What a row of each kind may take; others: twenty seconds."""

Progress = Callable[[str], None]


@dataclass
class Session:
    """What one run found.

    Attributes:
        device: Where.
        path: The file that it becomes.
        began: Seconds of the monotonic clock.
        copy: The copy bandwidth.
        checks: The comparisons with fp64.
        rows: The rows done, in order.
        complete: Whether it came to its end, with every row.
    """

    device: str
    path: Path
    began: float = field(default_factory=time.monotonic)
    copy: dict[str, Any] | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    rows: list[Measured] = field(default_factory=list)
    complete: bool = False

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def disproved(self, kind: str) -> str | None:
        """Why rows of this kind are not worth timing: what they would time is wrong."""
        needs = {"released": ("bare",), "network": ("bare", "fused"), "first": ()}
        failed = [
            one["what"]
            for one in self.checks
            if not one["passed"] and one["kind"] in needs.get(kind, (kind,))
        ]
        return f"it disagrees with fp64: {'; '.join(failed)}" if failed else None

    def as_dict(self) -> dict[str, Any]:
        """The document."""
        return {
            "schema": SCHEMA,
            "kind": "bench-gpu",
            "version": __version__,
            "complete": self.complete,
            "seconds": self.seconds,
            "environment": ops.environment(),
            "backends": dict(ops.backends()),
            "copy": self.copy,
            "checks": self.checks,
            "rows": [one.as_dict() for one in self.rows],
        }

    def save(self) -> Path:
        """Writes it, beside the file until it is complete; returns where."""
        partial = self.path.with_suffix(".partial.json")
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        return partial.replace(self.path) if self.complete else partial


def run(rows: Sequence[Row], device: str, path: Path, progress: Progress) -> Session:
    """Checks, then measures these rows; saves after each, the whole is the caller's to save.

    Raises:
        InputError: If there is no GPU that the CUDA back end runs on.
    """
    require_gpu()
    from invsearch.bench.gpu_cases import copy_rate, measure_row
    from invsearch.bench.gpu_checks import checks

    session = Session(device, path)
    progress("checking every operator against fp64")
    session.checks = [one.as_dict() for one in checks(device)]
    for failed in (one for one in session.checks if not one["passed"]):
        progress(f"wrong: {failed['what']}: {failed['reason'] or failed['error']}")
    session.copy = copy_rate(device)
    progress(f"copy bandwidth: {session.copy['value']:.0f} GB/s")
    for number, row in enumerate(rows, start=1):
        reason = session.disproved(row.kind) or late(row, session.seconds)
        one = Measured(row, None, reason) if reason else measure_row(row, device)
        session.rows.append(one)
        progress(f"[{number}/{len(rows)}] {one}")
        session.save()
    session.complete = list(rows) == list(ROWS)
    return session


def late(row: Row, passed: float, most: float = MOST_SECONDS) -> str | None:
    """Why a row is left out after so many seconds, or None."""
    left = most - passed
    if left >= RESERVE_SECONDS.get(row.kind, 20.0):
        return None
    return f"{max(left, 0):.0f} of {most:.0f} s were left"


def require_gpu() -> None:
    """Raises InputError, saying why, unless the CUDA back end can run."""
    reason = ops.backends()["cuda"]
    if reason != "available":
        raise InputError(f"bench-gpu: nothing was measured and nothing written: {reason}")


def wanted(names: Sequence[str]) -> list[Row]:
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
    """The command; returns the exit code: 0, 1 if something is wrong or failed, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m invsearch.bench.gpu", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ROW", help="bare, bare/s1, ...; default: all")
    parser.add_argument("--plan", action="store_true", help="print what would be measured")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ...")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, help=f"default: {OUTPUT}")
    options = parser.parse_args(arguments)
    try:
        rows = wanted(options.names)
        if options.plan:
            print("\n".join(f"{row.name}: {Measured(row, None, 'planned')}" for row in rows))
            return 0
        session = run(rows, options.device, options.output, _say)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"written to {session.save()} after {session.seconds:.0f} s")
    good = all(one["passed"] for one in session.checks) and all(one.found for one in session.rows)
    return 0 if good else 1


def _begins(row: Row, name: str) -> bool:
    return f"{row.name}/".startswith(f"{name.rstrip('/')}/")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    with torch.random.fork_rng(devices=[]):
        sys.exit(main())
