"""``measure`` and ``table``: latency of a trial, and of every block of a space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from invsearch.cli.app import SetOption, app, error_console, refuse_with
from invsearch.errors import InputError
from invsearch.terminal import working

__all__ = ["measure", "table"]


@app.command()
def measure(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[SUBJECT]", help="A run (with TRIAL), a name such as rednet50, a kept folder."
        ),
    ] = None,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="Its number.", min=0)
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="SPACE", help="Measure every distinct block of a space instead."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="With --table: one of latency.targets.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="With --table: the file; it is resumed.")
    ] = None,
    overrides: SetOption = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...; default: the run's.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images at a time; default: the run's.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; default: the run's.")
    ] = None,
) -> None:
    """Measure the latency of a trial's full-size network again, of another, or of all blocks."""
    if table is not None:
        given = {"RUN": run, "--device": device, "--batch-size": batch_size, "--threads": threads}
        refuse_with("--table", given, "say how it is measured in the space file, or by --set")
        _measure_table(table, target, output, overrides or [])
        return
    if run is None:
        raise InputError("measure needs RUN and TRIAL, a network, or --table SPACE -o FILE")
    refuse_with("RUN TRIAL", {"--target": target, "-o": output, "--set": overrides}, "leave it out")
    from invsearch.takeaway import Pick, measure_subject, pick, remeasure, subject_of
    from invsearch.takeaway.rendering import print_measured

    network = subject_of(run) if trial is None else pick(run, trial)
    with working(error_console(), "measuring, in a process of its own"):
        found = (
            remeasure(network, device=device, batch_size=batch_size, threads=threads)
            if isinstance(network, Pick)
            else measure_subject(network, device=device, batch_size=batch_size, threads=threads)
        )
    print_measured(found, network.name)


def _measure_table(space: str, target: str | None, output: Path | None, sets: list[str]) -> None:
    from rich.progress import Progress

    from invsearch.space import load_space_file
    from invsearch.takeaway.device_table import ReadTable, measure_table
    from invsearch.takeaway.rendering import print_tables

    if output is None:
        raise InputError("--table needs -o FILE, such as -o device.json")
    loaded = load_space_file(space, sets)
    console = error_console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("blocks and networks", total=None)
        measured = measure_table(
            loaded,
            output,
            target=target,
            say=lambda text: console.print(text, markup=False, highlight=False),
            advance=lambda done, of: progress.update(task, completed=done, total=of),
        )
    print_tables([ReadTable(output, measured)])


@app.command()
def table(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Latency tables.")],
) -> None:
    """Show latency tables, and compare the others with the first."""
    from invsearch.takeaway.device_table import read_tables
    from invsearch.takeaway.rendering import print_tables

    print_tables(read_tables(files))
