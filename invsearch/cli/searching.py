"""``run``, ``explain`` and ``simulate``: a search, before it and without it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from invsearch.cli.app import (
    PIPED_WIDTH,
    JsonOption,
    RunArgument,
    SetOption,
    SpaceArgument,
    app,
    error_console,
)
from invsearch.errors import InputError, StoppedError, without_password
from invsearch.plugins import DATASETS, EXECUTORS, SEARCH_CALLBACKS, STRATEGIES
from invsearch.terminal import as_argument, ended_by, make_console, working
from invsearch.terminal.stdout import print_json

__all__ = ["enqueue", "explain", "run", "simulate"]


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
        str | None,
        typer.Option(
            help=f"auto, {EXECUTORS}; auto: serial where nothing is trained, else ray. Default: "
            "the space file's."
        ),
    ] = None,
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
    callbacks: Annotated[
        list[str] | None,
        typer.Option(
            "--callback",
            help=f"Who follows it: {SEARCH_CALLBACKS}, or package.module:Class. Repeatable.",
        ),
    ] = None,
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="CSV|RUN",
            help="Points of your own, evaluated first; or a run, whose results are kept where they "
            "fit this space. Repeatable.",
        ),
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
    from invsearch.search.run import AUTO, RunOptions, default_folder, run_search
    from invsearch.space import load_space_file

    if executor is not None and executor not in (AUTO, *EXECUTORS):
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
        imports=imports or (),
        callbacks=callbacks or (),
    )
    console = error_console()
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
    from invsearch.runs.versus import paired_lines
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
        console.print(front_table(run_data.members, run_data.objectives, beliefs=run_data.beliefs))
        for line in (*reliability_lines(run_data), *paired_lines(run_data)):
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
def enqueue(
    run: RunArgument,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value; repeatable."),
    ] = None,
    like: Annotated[
        int | None,
        typer.Option(min=0, metavar="TRIAL", help="A trial whose values the others take."),
    ] = None,
) -> None:
    """Put a point of your own into a run: it is evaluated next, now or when the run goes on."""
    from invsearch.runs import RunFolder
    from invsearch.runs.load import find_run
    from invsearch.search.points import enqueue as enqueue_point
    from invsearch.search.points import values_of
    from invsearch.space import load_space_file

    folder = RunFolder(find_run(run))
    space = load_space_file(folder.space_path).space
    model = (
        {trial.number: trial.architecture for trial in folder.trials()} if like is not None else {}
    )
    if like is not None and like not in model:
        raise InputError(f"{folder.path} has no trial {like}")
    values = values_of(space, settings or [], {} if like is None else model[like].to_json())
    point = enqueue_point(folder, space, values)
    words = " ".join(f"{name}={value}" for name, value in point.items())
    print(f"queued: {words}; a search that is over takes it up with --resume and more --trials")


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
        with working(error_console(), status):
            explanation: Any = explain_layers(space_file, measure=measure_layers)
    else:
        explanation = explain_space(space_file)
    if as_json:
        print_json(json.dumps(explanation.to_json(), indent=2))
    else:
        width = PIPED_WIDTH if layers and not sys.stdout.isatty() else None
        make_console(width=width).print(explanation.text())


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
    console = error_console()
    simulation = simulate_searches(
        space, plan, overrides or [], lambda line: console.print(line, style="dim", highlight=False)
    )
    if as_json:
        typer.echo(json.dumps(simulation_json(simulation)))
    else:
        width = None if sys.stdout.isatty() else PIPED_WIDTH
        Console(width=width).print(simulation_table(simulation))
