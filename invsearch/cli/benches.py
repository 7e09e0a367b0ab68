"""``bench`` and ``bench-search``: operators and strategies against each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invsearch.atomic import is_standard_output
from invsearch.cli.app import JsonOption, SetOption, app, error_console, refuse_with
from invsearch.errors import InputError
from invsearch.plugins import STRATEGIES
from invsearch.runs.load import RESULTS
from invsearch.terminal import make_console
from invsearch.terminal.stdout import print_json

if TYPE_CHECKING:
    from invsearch.bench import Settings

__all__ = ["bench", "bench_search"]


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OP...]",
            help="Operators, reach, study, training, runtimes, or a case's first parts (OP/s1);"
            " or: sources SPACE.",
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
    networks: Annotated[
        int | None, typer.Option(min=3, help="Of sources: networks trained alone; default 30.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Of sources: trainings of each; default 3.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Of sources: where trainings are kept, to go on with."),
    ] = None,
    supernet: Annotated[
        bool, typer.Option("--supernet", help="Of sources: train and judge one (experimental).")
    ] = False,
    override: SetOption = None,
) -> None:
    """Time operators by every back end, in turns, after a check of their results.

    `bench sources SPACE` trains networks of a space and measures how well each source of
    information (proxies, costs, a single training) ranks them.
    """
    import json

    if names and names[0] == "sources":
        how_many = (networks or 30, seeds or 3)
        _sources(names[1:], how_many, out, override or [], supernet=supernet, as_json=as_json)
        return
    given = {"--networks": networks, "--seeds": seeds, "--out": out, "--set": override}
    given["--supernet"] = supernet or None
    refuse_with("these names", given, "it is of bench sources")

    from invsearch.bench import Settings, compare_documents, load_document, run
    from invsearch.bench.table import changes_table, session_tables

    settings = Settings(threads, device, "cold" if cold else "warm")
    settings = settings.quickly() if quick else settings
    console = error_console()
    if "runtimes" in (names or []):
        refuse_with("bench runtimes", {"--against": against}, "compare the rows yourself")
        _bench_runtimes(names or [], settings, as_json=as_json)
        return
    earlier = load_document(against) if against else None
    session = run(names or [], settings, lambda line: console.print(line, style="dim"))
    document = {**session.as_dict(), "command": _command()}
    changes = compare_documents(earlier, document) if earlier else []
    if as_json:
        against_earlier = {"against": [change.as_dict() for change in changes]} if earlier else {}
        print_json(json.dumps({**document, **against_earlier}))
        return
    make_console().print(session_tables(session))
    if earlier:
        make_console().print(changes_table(changes))


def _sources(
    names: list[str],
    how_many: tuple[int, int],
    out: Path | None,
    override: list[str],
    *,
    supernet: bool,
    as_json: bool,
) -> None:
    import json

    from invsearch.bench import sources
    from invsearch.space import load_space_file

    if len(names) != 1:
        raise InputError("bench sources takes one SPACE, such as: invsearch bench sources rednet")
    space = load_space_file(names[0], override)
    console = error_console()
    settings = sources.Settings(*how_many, out or RESULTS / f"sources-{space.slug}", supernet)
    measured = sources.measure_sources(
        space, settings, lambda line: console.print(line, style="dim")
    )
    if as_json:
        print_json(json.dumps(measured.as_dict(_command()[1:]), indent=1))
    else:
        make_console().print(sources.sources_table(measured))


def _bench_runtimes(names: list[str], settings: Settings, *, as_json: bool) -> None:
    """RedNet-50 beside ResNet-50 in torch, ONNX Runtime and OpenVINO."""
    import json

    from invsearch.bench.runtimes import document, runtimes_table

    if len(names) > 1 or settings.device != "cpu":
        raise InputError("bench runtimes is measured alone, and on the CPU")
    console = error_console()
    found = document(settings, lambda line: console.print(line, style="dim"))
    if as_json:
        print_json(json.dumps({**found, "command": _command()}, indent=1))
    else:
        make_console().print(runtimes_table(found))


def _command() -> list[str]:
    """What was typed, for the file: what it holds can be repeated with it."""
    return ["invsearch", *sys.argv[1:]]


@app.command("bench-search")
def bench_search(
    space: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPACE]",
            help="structures (made spaces of every kind), or some, structures/cell,pairs; graphs"
            " (NAS-Bench-Graph). Default: the contests on NAS-Bench-Macro.",
        ),
    ] = None,
    strategies: Annotated[
        str,
        typer.Option(
            help=f"Of {STRATEGIES}, separated by commas; default: those that take no seconds a"
            " proposal, but exhaustive."
        ),
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Searches of each strategy.")] = 10,
    trials: Annotated[
        int | None, typer.Option(min=2, help="Of a search of SPACE; default 100.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Trials asked at a time, of SPACE; default 1.")
    ] = None,
    draw: Annotated[
        int | None,
        typer.Option(min=0, help="Of made spaces: their numbers drawn anew; default 0."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Searches at a time.")] = 1,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the JSON to a file too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare search strategies: the share of the true hypervolume found, over seeds."""
    import json

    from invsearch.bench import contests
    from invsearch.runs.environment import code_state
    from invsearch.runs.outputs import check_output, write_checked

    if output is not None:
        check_output(output)
    made = space is not None and space.partition("/")[0] == "structures"
    if not made:
        refuse_with(space or "NAS-Bench-Macro", {"--draw": draw}, "it is of made spaces")
    if space is None or space == "graphs":
        fixed = {"--trials": trials, "--batch": batch}
        refuse_with(space or "NAS-Bench-Macro", fixed, "these comparisons have their own")
    trials, batch = trials or 100, batch or 1
    chosen = contests.TABLE
    if made:
        chosen = contests.structures(trials, batch, str(space).partition("/")[2], draw or 0)
    elif space == "graphs":
        chosen = contests.GRAPHS
    elif space is not None:
        chosen = (contests.Contest(f"{trials} trials", space, trials, batch=batch),)
    console, names = error_console(), contests.known_strategies(strategies)
    comparison = {
        "contests": [contests.identity(contest) for contest in chosen],
        "strategies": names,
        "seeds": seeds,
        "code": code_state(),
    }
    with contests.Partial(_part(output), comparison) as partial:

        def keep(standing: contests.Standing) -> None:
            partial.add(standing)
            console.print(str(standing), style="dim")

        standings = contests.compare_strategies(
            chosen,
            names,
            seeds=seeds,
            workers=workers,
            known=tuple(partial.standings),
            on_standing=keep,
        )
        found = contests.duels(standings, "cost_aware", sorted({100, 300, trials}))
        compared = contests.document(standings, sys.argv[1:])
        document = json.dumps({**compared, "duels": [duel.to_json() for duel in found]}, indent=1)
        if output is not None:
            write_checked(output, document + "\n")
        partial.done()
    if as_json:
        print_json(document)
    elif output is None or not is_standard_output(output):
        console = make_console()
        console.print(contests.standings_table(standings))
        if made or space == "graphs":
            console.print(contests.standings_table(standings, nadir=True))
        if made and found:
            console.print(contests.duels_table(found, seeds))


def _part(output: Path | None) -> Path | None:
    """Where a comparison is kept until it is whole: beside its file, where that is one."""
    if output is None or is_standard_output(output) or (output.exists() and not output.is_file()):
        return None
    return output.with_name(f".{output.name}.part")
