"""``train``, ``evaluate`` and ``export``: one architecture taken home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from invsearch.cli.app import JsonOption, app, error_console, refuse_with
from invsearch.errors import InputError, StoppedError
from invsearch.plugins import CALLBACKS, DATASETS
from invsearch.terminal import ended_by, working
from invsearch.terminal.stdout import print_json

__all__ = ["evaluate", "export", "train"]

SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT", help="A run (with TRIAL), a name such as rednet50, or a kept folder."
    ),
]
OptionalTrial = Annotated[
    int | None, typer.Argument(metavar="[TRIAL]", help="Of a run: the trial's number.", min=0)
]


@app.command()
def train(
    subject: SubjectArgument,
    trial: OptionalTrial = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds in all, the trial's own too; default: 3, or 1 with -o."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The full-size network, not the run's proxy of it.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the recipe's.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help=f"{DATASETS} or a folder; default: the run's.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=4, help="Pixels; default: the proxy's, or the model's.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="paper, cifar or proxy; default: the run's recipe, or paper."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="CHECKPOINT", help="Weights to start from."),
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
    logs: Annotated[
        list[str] | None,  # not --log: torchrun takes that for an option of its own
        typer.Option("--callback", help=f"{CALLBACKS}; with -o, repeatable."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDR", help="Train on a Ray cluster, which shares this folder."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes there, with --address; default: 1.")
    ] = None,
) -> None:
    """Train a network: a trial again, or any network by name, to keep (-o)."""
    from invsearch.takeaway import Follow, TrainOptions, train_named
    from invsearch.takeaway import train as train_again
    from invsearch.takeaway.rendering import print_trained
    from invsearch.train.processes import process_rank

    first, console = process_rank() == 0, error_console()
    follow = Follow(
        lambda line: console.print(line, style="dim", soft_wrap=True) if first else None,
        console if first else None,
        tuple(logs or ()),
    )
    options = TrainOptions(
        seeds, epochs, dataset, resolution, tuple(overrides or ()), full, output, device, preset,
        start,
    )  # fmt: skip
    if workers is not None and address is None:
        raise InputError("--workers are processes of a Ray cluster: name it with --address")
    if trial is not None and address is not None:
        raise InputError("--address trains networks by name or as they were kept: leave TRIAL out")
    try:
        if address is not None:
            from invsearch.takeaway.on_ray import Workers, train_on_ray

            trained = train_on_ray(subject, options, follow, Workers(address, workers or 1))
        elif trial is None:
            trained = train_named(subject, options, follow)
        else:
            trained = train_again(subject, trial, options, follow)
    except KeyboardInterrupt:
        word = ended_by()[0]
        raise StoppedError(f"{word}: the same command goes on from its last checkpoint") from None
    if first:
        print_trained(trained)


@app.command()
def evaluate(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT",
            help="A kept folder, a released checkpoint, or a name such as rednet50 with --weights.",
        ),
    ],
    weights: Annotated[
        Path | None, typer.Option(metavar="F", help="Weights of a network by name.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help=f"{DATASETS} or a folder; default: the training's.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=4, help="Pixels; default: the network's.")
    ] = None,
    split: Annotated[str, typer.Option(help="val or test.")] = "val",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Evaluate a trained network: top-1, top-5, confusion, calibration."""
    from invsearch.runs.files import dump_json
    from invsearch.takeaway import evaluate as evaluate_network
    from invsearch.takeaway.rendering import print_evaluated

    with working(error_console(), f"evaluating {subject}"):
        found = evaluate_network(
            subject, dataset, device, weights=weights, resolution=resolution, split=split
        )
    if as_json:
        print_json(dump_json(found.to_json(), indent=2))
    else:
        print_evaluated(found, subject)


@app.command()
def export(
    subject: SubjectArgument,
    trial: OptionalTrial = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The file.")
    ] = None,
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
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Take pixels: their normalisation is in the file.")
    ] = False,
) -> None:
    """Write one architecture to a file: a torch program, ONNX, or its spec as JSON."""
    from invsearch.takeaway import export as export_network
    from invsearch.takeaway import pick, subject_of
    from invsearch.takeaway.rendering import print_exported

    if output is None:
        raise InputError("name the file with --output FILE, such as -o network.pt2")
    if trial is None:
        refuse_with("a network of no run", {"--weights": weights}, "name its kept folder")
    found = subject_of(subject) if trial is None else pick(subject, trial)
    with working(error_console(), f"exporting {found.name}"):
        done = export_network(
            found, output, form=form, weights=weights, native=native, pixels=pixels
        )
    print_exported(done)
