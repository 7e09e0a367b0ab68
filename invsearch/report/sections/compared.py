"""Several runs of the same objectives: their fronts in one figure, and a line about each."""

from __future__ import annotations

from collections.abc import Sequence

from invsearch.report.blocks import Cell, Figures, Grid, Section
from invsearch.report.plot.compared import compared_fronts, run_names
from invsearch.report.plot.hypervolume import compared_hypervolume
from invsearch.report.shown import PageMaterial
from invsearch.report.text import display, duration, short, span_seconds
from invsearch.runs import RunData, Trial
from invsearch.runs.front import hypervolume_trace

__all__ = ["section"]


def section(material: PageMaterial) -> Section | None:
    """Compare runs; None for less than two runs with objectives, or where these differ."""
    runs = material.runs
    ranked = [run for run in runs if run.objectives]
    first = next(iter(ranked), None)
    if first is None or len(ranked) < 2 or any(_aim(run) != _aim(first) for run in ranked):
        return None
    drawn = [*compared_fronts(runs), compared_hypervolume(ranked)]
    drawn.append(compared_hypervolume(ranked, "time"))
    figures = Figures.called("compared-figure", [figure for figure in drawn if figure])
    return Section("Runs compared", [_grid(runs, ranked), figures])


def _aim(run: RunData) -> tuple[list[tuple[str, str]], bool]:
    return list(run.objectives.items()), run.outline.model


def _grid(runs: Sequence[RunData], ranked: Sequence[RunData]) -> Grid:
    first, known = ranked[0], ranked[0].outline.model
    everything = [trial for run in ranked for trial in run.trials]
    best = [
        (f"{'lowest' if aim == 'minimize' else 'highest'} {short(name, known=known)}", "number")
        for name, aim in first.objectives.items()
    ]
    heads = [("run", "name"), ("strategy", "text"), ("seed", "number"), ("trials", "number")]
    heads += [("time", "number"), ("on the front", "number"), *best, ("hypervolume", "number")]
    names = run_names(runs)
    rows = [_row(run, place, names[place], everything) for place, run in enumerate(runs)]
    return Grid("Runs compared", heads, [row for row in rows if row])


def _row(run: RunData, place: int, name: str, everything: Sequence[Trial]) -> list[str | Cell]:
    if not run.objectives:
        return []
    seconds, search = span_seconds(run.trials), run.outline.search
    trace = hypervolume_trace(run.trials, run.objectives, among=everything)
    return [
        Cell(links=((f"#run{place}", name),)),
        search.get("strategy", ""),
        search.get("seed", ""),
        f"{len(run.trials):,}",
        duration(seconds) if seconds else "",
        str(len(run.members)),
        *(_best(run, metric) for metric in run.objectives),
        f"{100 * trace[-1][1]:.1f} %" if trace else "",
    ]


def _best(run: RunData, name: str) -> str:
    values = [member.trial.metrics[name].value for member in run.members]
    if not values:
        return ""
    value = min(values) if run.objectives[name] == "minimize" else max(values)
    return display(name, value, known=run.outline.model)
