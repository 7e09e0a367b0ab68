"""The application: what every command shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from invsearch._version import __version__
from invsearch.errors import InputError
from invsearch.shadow import require_own_names
from invsearch.terminal import make_console
from invsearch.terminal.stdout import reserve_stdout

__all__ = [
    "PIPED_WIDTH",
    "JsonOption",
    "RunArgument",
    "SetOption",
    "SpaceArgument",
    "TrialArgument",
    "app",
    "error_console",
    "refuse_with",
]  # fmt: skip

app = typer.Typer(
    name="invsearch",
    help="Search neural architectures around involution, against exact costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


PIPED_WIDTH = 160  # columns of a table that goes to a file


SpaceArgument = Annotated[
    str, typer.Argument(metavar="SPACE", help="A path, or the name of a shipped space.")
]


SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Override a value of the space file; repeatable."),
]


def _json_alone(context: typer.Context, wanted: bool) -> bool:
    """Keep standard output for the JSON as long as the command runs."""
    if wanted:
        context.call_on_close(reserve_stdout())
    return wanted


JsonOption = Annotated[bool, typer.Option("--json", callback=_json_alone, help="Print JSON only.")]


def error_console() -> Any:
    return make_console(stderr=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"invsearch {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    require_own_names([Path.cwd()])


RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder, or its name in results/.")
]


TrialArgument = Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.", min=0)]


def refuse_with(what: str, given: dict[str, Any], way_out: str) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name} has no effect with {what}: {way_out}")
