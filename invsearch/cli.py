"""The command line: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from invsearch._version import __version__
from invsearch.errors import InvsearchError

__all__ = ["app", "main"]

app = typer.Typer(
    name="invsearch",
    help="Search neural architectures around involution, against exact costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_PIPED_WIDTH = 132  # columns of a table that goes to a file

SpaceArgument = Annotated[
    str, typer.Argument(metavar="SPACE", help="A path, or the name of a shipped space.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Override a value of the space file; repeatable."),
]


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"invsearch {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    space: SpaceArgument,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials over all resumes; default: the space file's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; default: results/<name>.")
    ] = None,
    overrides: SetOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the search.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run.")] = False,
    executor: Annotated[
        str, typer.Option(help="auto, ray or serial; auto: in-process where nothing is trained.")
    ] = "auto",
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of a Ray cluster; default: RAY_ADDRESS.")
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Fixed batches, told in order of number.")
    ] = False,
) -> None:
    """Search a space and leave a run folder with its Pareto front."""
    from invsearch.errors import InputError, StoppedError
    from invsearch.search.run import EXECUTORS, RunOptions, run_search
    from invsearch.space import load_space_file

    if executor not in EXECUTORS:
        raise InputError(f"--executor {executor!r} is not one of {', '.join(EXECUTORS)}")
    settings = [*(overrides or []), *([f"search.seed={seed}"] if seed is not None else [])]
    options = RunOptions(
        out=out,
        trials=trials,
        resume=resume,
        executor=executor,  # type: ignore[arg-type]
        address=address,
        deterministic=deterministic,
        command=["invsearch", *sys.argv[1:]],
    )
    console = _console()
    try:
        folder = run_search(load_space_file(space, settings), options, console)
    except KeyboardInterrupt:
        raise StoppedError("interrupted: the same command with --resume goes on") from None
    _print_outcome(folder)


def _print_outcome(folder: Any) -> None:
    from rich.console import Console

    from invsearch.runs import load_run
    from invsearch.search.live import front_table

    run_data = load_run(folder.path)
    console = Console()
    console.print(front_table(run_data.members, run_data.objectives))
    console.print(f"{folder.front_path}", soft_wrap=True, highlight=False)
    console.print(f"next: invsearch report {folder.path}", soft_wrap=True, highlight=False)


@app.command()
def report(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Folders, or names in results/.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: reports/<run>.html.")
    ] = None,
) -> None:
    """Write one self-contained page about one or more runs."""
    from invsearch.report import default_output, find_runs, write_report

    folders = find_runs(runs or [])
    path = write_report(folders, output or default_output(folders))
    typer.echo(path)


@app.command()
def explain(
    space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="A path, or a shipped space's name.")
    ] = None,
    overrides: SetOption = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="The cost of every layer of one network.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="The JSON Schema of space files, for editors.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Check a space without running it: size, conditions, samples, ranges of the costs."""
    import json

    from rich.console import Console

    from invsearch.errors import InputError
    from invsearch.space import explain as explain_space
    from invsearch.space import explain_layers, json_schema, load_space_file

    if schema:
        typer.echo(json.dumps(json_schema(), indent=2))
        return
    if space is None:
        raise InputError("explain needs a SPACE: a path, or the name of a shipped space")
    space_file = load_space_file(space, overrides or [])
    explanation = explain_layers(space_file) if layers else explain_space(space_file)
    if as_json:
        typer.echo(json.dumps(explanation.to_json(), indent=2))
    else:
        Console().print(explanation.text())


@app.command()
def reproduce(
    table: Annotated[
        str,
        typer.Argument(
            metavar="[TABLE]",
            help="classification, detection, segmentation, abstract, ablation, runtime or all.",
        ),
    ] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Rebuild the networks of the paper's tables, count them and compare; 1 where a row fails."""
    import json

    from rich.console import Console

    from invsearch.paper.rendering import render
    from invsearch.paper.reproduce import failures, to_json
    from invsearch.paper.reproduce import reproduce as reproduce_table

    with _console().status(f"reproducing {table}"):
        rows = reproduce_table(table)
    if as_json:
        typer.echo(json.dumps(to_json(rows), indent=2))
    else:
        width = None if sys.stdout.isatty() else _PIPED_WIDTH
        Console(width=width).print(render(rows))
    if failures(rows):
        raise typer.Exit(1)


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OP...]", help="Operators, reach, study, or a case's first parts (OP/s1)."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Earlier --json: a verdict for each case.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer cases, wider intervals.")] = False,
    cold: Annotated[bool, typer.Option("--cold", help="Flush the cache before each call.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Time operators by every back end, in turns, after a check of their results."""
    import json

    from rich.console import Console

    from invsearch.bench import Settings, compare_documents, load_document, run
    from invsearch.bench.table import changes_table, session_tables

    earlier = load_document(against) if against else None
    settings = Settings(threads, device, "cold" if cold else "warm")
    console = _console()
    session = run(
        names or [],
        Settings.quickly(settings) if quick else settings,
        lambda line: console.print(line, style="dim", highlight=False),
    )
    document = session.as_dict()
    changes = compare_documents(earlier, document) if earlier else []
    if as_json:
        against_earlier = {"against": [change.as_dict() for change in changes]} if earlier else {}
        typer.echo(json.dumps({**document, **against_earlier}))
        return
    Console().print(session_tables(session))
    if earlier:
        Console().print(changes_table(changes))


def main() -> None:
    """Run the command line; every error is one line on standard error.

    Exit codes: 0; 1 for a failed check; 2 for bad input; 130 when interrupted.
    """
    code: object = None
    try:
        code = app(standalone_mode=False)
    except InvsearchError as error:
        _fail(str(error), error.exit_code)
    except typer.Exit as leave:
        code = leave.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except typer.TyperException as error:
        _fail(str(getattr(error, "format_message", error.__str__)()), 2)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    print(f"invsearch: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
