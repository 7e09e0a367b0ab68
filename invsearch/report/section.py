"""What the page shows of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from invsearch.report.figure import Figure
from invsearch.report.front_figure import front_figures
from invsearch.report.grid import Cell, Grid
from invsearch.report.hypervolume_figure import hypervolume_figure
from invsearch.report.importance import ENOUGH, importances
from invsearch.report.importance_figure import importance_figure, ranked_parameters
from invsearch.report.latency import latency_figure, latency_remark
from invsearch.report.layers import layer_costs, layers_figure
from invsearch.report.paper import PaperPoint, papers_for
from invsearch.report.parallel import parallel_figure
from invsearch.report.picks import Pick, picks
from invsearch.report.repeat import clock_rows, environment_rows, repeat_command, resume_command
from invsearch.report.summary import Failure, failures, sentences
from invsearch.report.table import trial_columns
from invsearch.runs import RunData
from invsearch.runs.front import comparable

__all__ = ["Named", "Section", "section"]

Named = list[tuple[str, Figure]]
"""Figures by the id of their element."""


@dataclass(frozen=True)
class Section:
    """What the template shows of one run.

    Attributes:
        index: Its place on the page.
        run: The run.
        sentences: The summary.
        picks: The recommended members of the front.
        fronts: The front for every pair of objectives.
        search: How the search went.
        failures: Why trials failed; None where none did.
        layers: The recommended networks taken apart, for the page's script; None where they cannot
            be.
        layers_figure: The figure that shows them.
        latency: Predicted against measured latency.
        latency_remark: Why there is no such figure; empty where there is, or no latency.
        environment: Where it ran.
        command: What repeats it.
        remarks: What cannot be shown yet, and why.
        began: When the first trial began; empty where that is not known.
        resume: What goes on with it; empty where nothing is left to do.
    """

    index: int
    run: RunData
    sentences: list[str]
    picks: list[Pick]
    fronts: Named
    search: Named
    failures: Grid | None
    layers: dict[str, Any] | None
    layers_figure: Named
    latency: Named
    latency_remark: str
    environment: list[tuple[str, str]]
    command: str
    remarks: list[str]
    began: str
    resume: str

    @property
    def id(self) -> str:
        """The id of its element."""
        return f"run{self.index}"

    @property
    def folder(self) -> str:
        """The name of the run's folder."""
        return self.run.path.resolve().name

    @property
    def states(self) -> list[str]:
        """The states that its trials have."""
        return sorted({trial.state for trial in self.run.trials})

    @property
    def figures(self) -> Named:
        """Every figure."""
        return [*self.fronts, *self.search, *self.layers_figure, *self.latency]

    def data(self) -> dict[str, Any]:
        """What the page's script needs."""
        return {**trial_columns(self.run), "layers": self.layers}


def section(run: RunData, index: int, paper: Sequence[PaperPoint] | None) -> Section:
    """Collect what the page shows of a run.

    Args:
        run: The run.
        index: Its place on the page.
        paper: The paper's networks as counted; counted here when None.
    """
    chosen = picks(run)
    layers = layer_costs(run, chosen)
    fronts = front_figures(run, index, papers_for(run, paper))
    searched, remarks = _search_figures(run, index)
    drawn = [layers_figure(index, layers["resolution"])] if layers else []
    timed = latency_figure(run, index)
    return Section(
        index=index,
        run=run,
        sentences=sentences(run),
        picks=chosen,
        fronts=_named(f"run{index}-figure", fronts),
        search=_named(f"run{index}-search", searched),
        failures=_failures(f"run{index}", failures(run.trials)),
        layers=layers,
        layers_figure=_named(f"run{index}-layers", drawn),
        latency=_named(f"run{index}-latency", [timed] if timed else []),
        latency_remark=latency_remark(run),
        environment=_environment(run),
        command=repeat_command(run),
        remarks=remarks,
        began=next((began for _, began in clock_rows(run)), ""),
        resume=resume_command(run),
    )


def _environment(run: RunData) -> list[tuple[str, str]]:
    return [*clock_rows(run), *environment_rows(run.environment)] if run.environment else []


_HEADS = (
    ("trials", "number"), ("share", "number"), ("state", "text"), ("reason", "reason"),
    ("which", "links"),
)  # fmt: skip


def _failures(place: str, found: Sequence[Failure]) -> Grid | None:
    return Grid("Failures", _HEADS, [_cells(place, one) for one in found]) if found else None


def _cells(place: str, one: Failure) -> list[str | Cell]:
    links = tuple((f"#{place}-trial{number}", str(number)) for number in one.numbers)
    return [
        Cell(f"{one.count:,}", strong=True),
        f"{100 * one.part:.0f} %",
        one.state,
        one.reason,
        Cell(links=links, more=one.count > len(one.numbers)),
    ]


def _named(prefix: str, figures: Sequence[Figure]) -> Named:
    return [(f"{prefix}{place}", figure) for place, figure in enumerate(figures)]


def _search_figures(run: RunData, index: int) -> tuple[list[Figure], list[str]]:
    """Return how the search went, and in words what there are too few trials for."""
    if not run.objectives:
        return [], []
    found = importances(run.trials, run.objectives)
    drawn = [
        hypervolume_figure(run, index),
        hypervolume_figure(run, index, "time"),
        importance_figure(found, known=run.outline.model),
        parallel_figure(run, index, ranked_parameters(found)),
    ]
    return [figure for figure in drawn if figure], _remarks(run)


def _remarks(run: RunData) -> list[str]:
    count = len(comparable(run.trials, run.objectives))
    if not 0 < count < ENOUGH:
        return []
    return [f"Which choices matter is shown from {ENOUGH} complete trials on; there are {count}."]
