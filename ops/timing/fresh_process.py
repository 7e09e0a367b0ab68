"""Asking a fresh process: what is measured there has no past, of allocators, caches or clocks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

__all__ = ["Answer", "ask_fresh_process"]


@dataclass(frozen=True)
class Answer:
    """How a process ended.

    Attributes:
        code: Its exit status; 0 if all went well.
        line: The last line of its standard output; empty if it failed.
        reason: Why it failed, in one line: the last of its standard error; empty if it did not.
    """

    code: int
    line: str = ""
    reason: str = ""


def ask_fresh_process(
    module: str,
    *arguments: str,
    text: str = "",
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    pass_fds: Sequence[int] = (),
) -> Answer:
    """Runs ``python -m module`` with the import path of this process, and waits for it.

    Args:
        module: What to run.
        *arguments: Its command line.
        text: Its standard input.
        environment: Variables on top of this process's own.
        timeout_s: Seconds after which it is ended.
        pass_fds: File descriptors that it inherits, and holds as long as it runs.

    Raises:
        subprocess.TimeoutExpired: If it took longer.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],
        input=text,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": _import_path(), **(environment or {})},
        timeout=timeout_s,
        pass_fds=tuple(pass_fds),
        check=False,
    )
    if done.returncode == 0:
        return Answer(0, (done.stdout.splitlines() or [""])[-1])
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    ended = f"exit code {done.returncode}"
    if done.returncode < 0:
        ended = f"ended by signal {-done.returncode}"
    return Answer(done.returncode, reason=lines[-1] if lines else ended)


def _import_path() -> str:
    """This process's, for ``python -P``; `ops` is this one, whatever has come to lie before it."""
    places = [part or str(Path.cwd()) for part in sys.path]
    home = Path(__file__).parents[2]
    found = PathFinder.find_spec("ops", places)
    if found is None or found.origin != str(home / "ops" / "__init__.py"):
        places.insert(0, str(home))
    return os.pathsep.join(places)
