"""The command line: parse, call, print."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from invsearch._version import __version__
from invsearch.errors import (
    DiskError,
    InputError,
    InvsearchError,
    StoppedError,
    without_password,
)
from invsearch.plugins import DATASETS, EXECUTORS, STRATEGIES
from invsearch.shadow import require_own_names
from invsearch.stdio import leave, print_json, reserve_stdout
from invsearch.terminal import (
    as_argument,
    ended_by,
    guarded_streams,
    make_console,
    printable,
    sigterm_as_interrupt,
    working,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="invsearch",
    help="Search neural architectures around involution, against exact costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_PIPED_WIDTH = 160  # columns of a table that goes to a file

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


def _console() -> Any:
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


@app.command(
    epilog=f"search.strategy is one of {STRATEGIES}; accuracy.dataset is one of {DATASETS}, "
    "or a folder."
)
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
        str,
        typer.Option(help=f"auto, {EXECUTORS}; auto: serial where nothing is trained, else ray."),
    ] = "auto",
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of a Ray cluster; default: RAY_ADDRESS.")
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Fixed batches, told in order of number.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Of the whole search; default: the space file's."),
    ] = None,
    as_json: JsonOption = False,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="postgresql://USER@HOST:PORT/DATABASE, where several drivers share one study.",
        ),
    ] = None,
) -> None:
    """Search a space and leave a run folder with its Pareto front."""
    from invsearch.errors import InputError
    from invsearch.search.run import AUTO, RunOptions, default_folder, run_search
    from invsearch.space import load_space_file

    if executor not in (AUTO, *EXECUTORS):
        raise InputError(f"--executor {executor!r} is not one of {AUTO}, {EXECUTORS}")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise InputError(f"--timeout {timeout} must be a number of seconds above 0")
    settings = [*(overrides or []), *([f"search.seed={seed}"] if seed is not None else [])]
    options = RunOptions(
        out=out,
        trials=trials,
        resume=resume,
        executor=executor,
        address=address,
        deterministic=deterministic,
        timeout_s=timeout,
        command=["invsearch", *map(without_password, sys.argv[1:])],
        storage=storage,
    )
    console = _console()
    try:
        kept = (lambda slug: default_folder(out, slug)) if resume else None
        folder = run_search(load_space_file(space, settings, run=kept), options, console)
    except KeyboardInterrupt:
        raise StoppedError(f"{ended_by()[0]}: the same command with --resume goes on") from None
    _print_outcome(folder, as_json)


def _print_outcome(folder: Any, as_json: bool) -> None:
    """Show the front. All of it is on disk: what cannot be shown takes nothing from the search."""
    import json

    from invsearch.errors import CheckError
    from invsearch.runs import load_run
    from invsearch.runs.bounds import why_no_front
    from invsearch.runs.reliability_text import reliability_lines
    from invsearch.search.live import front_table

    console = make_console()
    try:
        run_data = load_run(folder.path)
        empty = "" if run_data.members else why_no_front(run_data.trials, run_data.constraints)
        if empty and not any(trial.state == "complete" for trial in run_data.trials):
            raise CheckError(empty)
        if as_json:
            print_json(json.dumps(run_data.outcome()))
            return
        console.print(front_table(run_data.members, run_data.objectives))
        for line in reliability_lines(run_data):
            console.print(line, soft_wrap=True)
        if empty:
            console.print(f"the front is empty: {empty}", soft_wrap=True)
        console.print(f"{folder.front_path}", soft_wrap=True)
        following = shlex.join(["invsearch", "report", as_argument(folder.path)])
        console.print(f"next: {following}", soft_wrap=True)
    except CheckError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"the search is finished and cannot be shown here: {reason}", file=sys.stderr)


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
    with working(_console(), "writing"):
        paths = write(folders, output, form=form, plotlyjs=plotlyjs, say=told.append)
    for line in told:
        print(line, file=sys.stderr)
    for path in paths:
        if not is_standard_output(path):
            print(path)


@app.command()
def explain(
    space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="A path, or a shipped space's name.")
    ] = None,
    overrides: SetOption = None,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="Params, MACs and bytes of every layer of one network: the first value of each "
            "choice. --set space.depth=50 or 'space.depth.choice=[50, custom]' choose another.",
        ),
    ] = False,
    measure_layers: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="With --layers: time each layer too, as the space file's latency: says.",
        ),
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="The JSON Schema of space files, for editors.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a space without running it: size, conditions, samples, ranges of the costs."""
    import json

    from invsearch.errors import InputError
    from invsearch.explain import explain as explain_space
    from invsearch.explain import explain_layers
    from invsearch.space import json_schema, load_space_file

    if schema:
        print(json.dumps(json_schema(), indent=2))
        return
    if space is None:
        raise InputError("explain needs a SPACE: a path, or the name of a shipped space")
    if measure_layers and not layers:
        raise InputError("--measure goes with --layers: it times each layer of one network")
    space_file = load_space_file(space, overrides or [])
    if layers:
        status = "measuring, in a process of its own" if measure_layers else "counting"
        with working(_console(), status):
            explanation: Any = explain_layers(space_file, measure=measure_layers)
    else:
        explanation = explain_space(space_file)
    if as_json:
        print_json(json.dumps(explanation.to_json(), indent=2))
    else:
        width = _PIPED_WIDTH if layers and not sys.stdout.isatty() else None
        make_console(width=width).print(explanation.text())


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

    with working(_console(), f"reproducing {table}"):
        rows = reproduce_table(table)
    if as_json:
        print_json(json.dumps(to_json(rows), indent=2))
    else:
        width = None if sys.stdout.isatty() else _PIPED_WIDTH
        make_console(width=width).print(render(rows))
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
    as_json: JsonOption = False,
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

    from invsearch.bench import Settings, compare_documents, load_document, run
    from invsearch.bench.table import changes_table, session_tables

    earlier = load_document(against) if against else None
    settings = Settings(threads, device, "cold" if cold else "warm")
    console = _console()
    session = run(
        names or [],
        settings.quickly() if quick else settings,
        lambda line: console.print(line, style="dim"),
    )
    document = session.as_dict()
    changes = compare_documents(earlier, document) if earlier else []
    if as_json:
        against_earlier = {"against": [change.as_dict() for change in changes]} if earlier else {}
        print_json(json.dumps({**document, **against_earlier}))
        return
    make_console().print(session_tables(session))
    if earlier:
        make_console().print(changes_table(changes))


@app.command("bench-search")
def bench_search(
    space: Annotated[
        str | None,
        typer.Argument(metavar="[SPACE]", help="Default: the contests on NAS-Bench-Macro."),
    ] = None,
    strategies: Annotated[
        str,
        typer.Option(help=f"Of {STRATEGIES}, separated by commas; default: all but exhaustive."),
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Searches of each strategy.")] = 10,
    trials: Annotated[int, typer.Option(min=2, help="Of a search of SPACE.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Trials asked at a time, of SPACE.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Searches at a time.")] = 1,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the JSON to a file too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare search strategies: the share of the true hypervolume found, over seeds."""
    import json

    from invsearch.bench import contests
    from invsearch.runs.outputs import check_output, write_checked

    if output is not None:
        check_output(output)
    chosen = contests.TABLE
    if space is not None:
        chosen = (contests.Contest(f"{trials} trials", space, trials, batch=batch),)
    console = _console()
    standings = contests.compare_strategies(
        chosen,
        contests.known_strategies(strategies),
        seeds=seeds,
        workers=workers,
        on_standing=lambda standing: console.print(str(standing), style="dim"),
    )
    document = json.dumps(contests.document(standings, sys.argv[1:]), indent=1)
    if output is not None:
        write_checked(output, document + "\n")
    if as_json:
        print_json(document)
    else:
        make_console().print(contests.standings_table(standings))


@app.command()
def simulate(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE",
            help="A space whose evaluator looks results up, or the folder of an earlier run.",
        ),
    ],
    workers: Annotated[
        str, typer.Option(help="Trials at a time; several numbers, separated by commas.")
    ],
    seconds_per_trial: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="Of a whole trial on one worker; LOW..HIGH for a range; "
            "default: what the trials of the earlier run took.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="The budget; default: the space file's.")
    ] = None,
    overrides: SetOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Searches of each number of workers.")] = 3,
    seconds_per_ask: Annotated[
        float, typer.Option(min=0, help="Of the driver, for each proposal it hands out.")
    ] = 0.0,
    seconds_to_start: Annotated[
        float, typer.Option(min=0, help="Until a new worker can begin with its first trial.")
    ] = 0.0,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Fixed batches, told in order of number.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Simulate searches: hypervolume against wall-clock and device-hours, by number of workers."""
    import json

    from rich.console import Console

    from invsearch.simulate import Plan, parse_durations, parse_workers
    from invsearch.simulate import simulate as simulate_searches
    from invsearch.simulate.rendering import simulation_json, simulation_table

    plan = Plan(
        workers=parse_workers(workers),
        durations=parse_durations(seconds_per_trial) if seconds_per_trial is not None else None,
        trials=trials,
        seeds=seeds,
        ask_s=seconds_per_ask,
        start_s=seconds_to_start,
        deterministic=deterministic,
    )
    console = _console()
    simulation = simulate_searches(
        space, plan, overrides or [], lambda line: console.print(line, style="dim", highlight=False)
    )
    if as_json:
        typer.echo(json.dumps(simulation_json(simulation)))
    else:
        width = None if sys.stdout.isatty() else _PIPED_WIDTH
        Console(width=width).print(simulation_table(simulation))


RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder, or its name in results/.")
]
TrialArgument = Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.", min=0)]


@app.command()
def measure(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's folder, or a name in results/.")
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
    """Measure the latency of a trial's full-size network again, or a space's table of blocks."""
    if table is not None:
        given = {"RUN": run, "--device": device, "--batch-size": batch_size, "--threads": threads}
        _refuse_with("--table", given, "say how it is measured in the space file, or by --set")
        _measure_table(table, target, output, overrides or [])
        return
    if run is None or trial is None:
        raise InputError("measure needs RUN and TRIAL, or --table SPACE -o FILE")
    _refuse_with(
        "RUN TRIAL", {"--target": target, "-o": output, "--set": overrides}, "leave it out"
    )
    from invsearch.takeaway import pick, remeasure
    from invsearch.takeaway.rendering import print_measured

    picked = pick(run, trial)
    with working(_console(), "measuring, in a process of its own"):
        found = remeasure(picked, device=device, batch_size=batch_size, threads=threads)
    print_measured(found, picked.name)


def _refuse_with(what: str, given: dict[str, Any], way_out: str) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name} has no effect with {what}: {way_out}")


def _measure_table(space: str, target: str | None, output: Path | None, sets: list[str]) -> None:
    from rich.progress import Progress

    from invsearch.space import load_space_file
    from invsearch.takeaway.device_table import ReadTable, measure_table
    from invsearch.takeaway.rendering import print_tables

    if output is None:
        raise InputError("--table needs -o FILE, such as -o device.json")
    loaded = load_space_file(space, sets)
    console = _console()
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
    console = _console()
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
    with working(_console(), f"exporting {picked.name}"):
        done = export_network(picked, output, form=form, weights=weights, native=native)
    print_exported(done)


data_app = typer.Typer(help="Fetch and check data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


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

    with _console().status(f"looking into {dataset}"):
        found = check_dataset(dataset, folder)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        typer.echo("\n".join(found.lines()))
    if not found.sound:
        raise typer.Exit(1)


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


if __name__ == "__main__":
    main()
