"""``train``, ``evaluate`` and ``export``: one architecture taken home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from invsearch.cli.app import RunArgument, TrialArgument, app, error_console
from invsearch.errors import StoppedError
from invsearch.plugins import DATASETS
from invsearch.terminal import ended_by, working

__all__ = ["evaluate", "export", "train"]


@app.command()
def train(
    run: RunArgument,
    trial: TrialArgument,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds in all, the trial's own too; default: 3, or 1 with -o."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The full-size network, not the run's proxy of it.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the run's.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help=f"{DATASETS} or a folder; default: the run's.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=4, help="Pixels; default: the proxy's, or the model's.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="accuracy.X=Y", help="Change the recipe; repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Keep the trained network here.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...; default: the run's.")
    ] = None,
) -> None:
    """Train an architecture again: further seeds for its run, or a network to keep (-o)."""
    from invsearch.takeaway import TrainOptions
    from invsearch.takeaway import train as train_again
    from invsearch.takeaway.rendering import print_trained

    settings = tuple(overrides or ())
    options = TrainOptions(seeds, epochs, dataset, resolution, settings, full, output, device)
    console = error_console()
    try:
        trained = train_again(run, trial, options, lambda line: console.print(line, style="dim"))
    except KeyboardInterrupt:
        word = ended_by()[0]
        raise StoppedError(f"{word}: the same command goes on from the last epoch") from None
    print_trained(trained)


@app.command()
def evaluate(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What `invsearch train -o FOLDER` wrote.")
    ],
    dataset: Annotated[
        str | None, typer.Option(help=f"{DATASETS} or a folder; default: the training's.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
) -> None:
    """Evaluate a kept network on a validation set."""
    from invsearch.takeaway import evaluate as evaluate_network
    from invsearch.takeaway.rendering import print_evaluated

    print_evaluated(evaluate_network(folder, dataset, device), str(folder))


@app.command()
def export(
    run: RunArgument,
    trial: TrialArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file.")],
    form: Annotated[
        str | None,
        typer.Option("--format", help="torch, onnx or spec; default: by the file's ending."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="What `invsearch train -o` wrote.")
    ] = None,
    native: Annotated[
        bool, typer.Option("--native", help="Keep involution as an operator of ops; for torch.")
    ] = False,
) -> None:
    """Write one architecture to a file: a torch program, ONNX, or its spec as JSON."""
    from invsearch.takeaway import export as export_network
    from invsearch.takeaway import pick
    from invsearch.takeaway.rendering import print_exported

    picked = pick(run, trial)
    with working(error_console(), f"exporting {picked.name}"):
        done = export_network(picked, output, form=form, weights=weights, native=native)
    print_exported(done)
