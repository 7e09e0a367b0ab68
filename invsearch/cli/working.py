"""``work``: a worker of a search whose executor is ``folder``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from invsearch.cli.app import app, error_console
from invsearch.errors import StoppedError
from invsearch.terminal import ended_by

__all__ = ["work"]


@app.command()
def work(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="The run's folder, or its name in results/; it may not be there yet.",
        ),
    ],
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of torch, for a trial; default: cluster.cpus_per_trial."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="cpu|cuda:N", help="The only device that trials see; default: all."),
    ] = None,
    stop_after: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="Take no further trial then, and end; default: never."
        ),
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="End when there was nothing to do for so long."
        ),
    ] = None,
) -> None:
    """Evaluate trials of a run, on any machine that has its folder: `run --executor folder`."""
    from invsearch.search.executors.folder.station import Station
    from invsearch.search.executors.folder.worker import Patience

    console = error_console()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False, markup=False)

    station = Station(Path(run), threads, device, Patience(stop_after, idle), say)
    try:
        ending = station.work()
    except KeyboardInterrupt:
        raise StoppedError(f"{ended_by()[0]}: {station.left_behind}") from None
    trials = "1 trial" if ending.evaluated == 1 else f"{ending.evaluated} trials"
    print(f"{station.run}: {ending.reason}; {trials} evaluated here")
