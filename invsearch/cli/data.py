"""``data fetch`` and ``data check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from invsearch.cli.app import app, error_console
from invsearch.plugins import DATASETS

__all__ = ["data_app", "data_check", "data_fetch"]

data_app = typer.Typer(help="Fetch and check data sets.", no_args_is_help=True)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="cifar10, cifar100, tiny_imagenet.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: $INVSEARCH_DATA/NAME.")
    ] = None,
) -> None:
    """Download a data set and check its hash; nothing else ever downloads one."""
    from invsearch.data.fetch import fetch

    typer.echo(fetch(name, output, lambda line: typer.echo(line, err=True)))


@data_app.command("check")
def data_check(
    dataset: Annotated[
        str, typer.Argument(metavar="PATH", help=f"A folder, a file, or one of {DATASETS}.")
    ],
    folder: Annotated[
        Path | None, typer.Option(help="Where a named data set is, if not where it is looked for.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Decode every image: classes, sizes, and what is broken; 1 where something is."""
    import json

    from invsearch.data.check import check_dataset

    with error_console().status(f"looking into {dataset}"):
        found = check_dataset(dataset, folder)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        typer.echo("\n".join(found.lines()))
    if not found.sound:
        raise typer.Exit(1)


app.add_typer(data_app, name="data")
