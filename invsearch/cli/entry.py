"""``main``: run a command; every error is one line."""

from __future__ import annotations

import sys

import typer

from invsearch.cli.app import app
from invsearch.errors import DiskError, InvsearchError, StoppedError, without_password
from invsearch.terminal import ended_by, guarded_streams, printable, sigterm_as_interrupt
from invsearch.terminal.stdout import leave

__all__ = ["main"]


def main() -> None:
    """Run the command line; every error is one line on standard error.

    Exit codes: 0; 1 for a failed check; 2 for bad input; 130 when interrupted, 143 when terminated.
    """
    with guarded_streams() as streams:
        with sigterm_as_interrupt():
            code = _run()
        sys.stdout.flush()
        if streams.lost is not None and not code and sys.argv[1:2] != ["run"]:
            code = _fail(str(DiskError.of(streams.lost, "standard output", "written")), 2)
    leave(code)


def _run() -> int:
    try:
        code: object = app(standalone_mode=False)
    except StoppedError as error:
        return _fail(str(error), ended_by()[1])
    except InvsearchError as error:
        return _fail(error.lines, error.exit_code)
    except typer.Exit as end:
        code = end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _fail(*ended_by())
    except typer.TyperException as error:
        return _fail(str(getattr(error, "format_message", error.__str__)()), 2)
    except OSError as error:
        return _fail(str(DiskError.of(error)), 2)
    return code if isinstance(code, int) else 0


def _fail(message: str | tuple[str, ...], code: int) -> int:
    """Print what went wrong, a line each."""
    for line in (message,) if isinstance(message, str) else message:
        text = " ".join(without_password(line).split())
        print(f"invsearch: {printable(text)}", file=sys.stderr)
    return code
