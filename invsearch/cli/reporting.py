"""``report`` and ``reproduce``: what was found, and what the paper says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from invsearch.cli.app import PIPED_WIDTH, JsonOption, app, error_console
from invsearch.terminal import make_console, working
from invsearch.terminal.stdout import print_json

__all__ = ["report", "reproduce"]


@app.command()
def report(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Folders, or names in results/.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: reports/<run>.<format>.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="html; csv or json, the data; png, the figures.")
    ] = "html",
    plotlyjs: Annotated[
        str, typer.Option(help="inline (the default), directory: a file beside the page, or cdn.")
    ] = "",
) -> None:
    """Write one page about one or more runs, or their data or pictures."""
    from invsearch.atomic import is_standard_output
    from invsearch.report import find_runs, write

    folders = find_runs(runs or [])
    told: list[str] = []
    with working(error_console(), "writing"):
        paths = write(folders, output, form=form, plotlyjs=plotlyjs, say=told.append)
    for line in told:
        print(line, file=sys.stderr)
    for path in paths:
        if not is_standard_output(path):
            print(path)


@app.command()
def reproduce(
    table: Annotated[
        str,
        typer.Argument(
            metavar="[TABLE]",
            help="classification, detection, segmentation, abstract, ablation, runtime or all.",
        ),
    ] = "all",
    as_json: JsonOption = False,
) -> None:
    """Rebuild the networks of the paper's tables, count them and compare; 1 where a row fails."""
    import json

    from invsearch.paper.rendering import render
    from invsearch.paper.reproduce import failures, to_json
    from invsearch.paper.reproduce import reproduce as reproduce_table

    with working(error_console(), f"reproducing {table}"):
        rows = reproduce_table(table)
    if as_json:
        print_json(json.dumps(to_json(rows), indent=2))
    else:
        width = None if sys.stdout.isatty() else PIPED_WIDTH
        make_console(width=width).print(render(rows))
    if failures(rows):
        raise typer.Exit(1)
