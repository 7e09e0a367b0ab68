"""The page: figures, tables and texts put into one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from invsearch._version import __version__
from invsearch.errors import InputError
from invsearch.report.figure import Figure
from invsearch.report.front_figure import front_figures
from invsearch.report.hypervolume_figure import hypervolume_figure
from invsearch.report.paper import PaperPoint, convention_of, paper_points
from invsearch.report.summary import (
    Pick,
    environment_rows,
    failures,
    picks,
    repeat_command,
    sentences,
)
from invsearch.report.table import trial_table
from invsearch.runs import RunData, load_run
from invsearch.runs.files import dump_json, write_atomic

__all__ = ["render", "write_report"]


@dataclass(frozen=True)
class _Section:
    """What the template shows of one run."""

    id: str
    name: str
    path: str
    notices: tuple[str, ...]
    sentences: list[str]
    picks: list[Pick]
    figures: list[tuple[str, Figure]]
    failures: list[tuple[str, int, list[int]]]
    states: list[str]
    trials: int
    environment: list[tuple[str, str]]
    space_text: str
    command: str


def write_report(
    run_paths: Sequence[str | Path],
    output: str | Path,
    *,
    paper: Sequence[PaperPoint] | None = None,
) -> Path:
    """Write one self-contained page about runs.

    Args:
        run_paths: Folders of runs, or names under ``results/``; empty and failed runs give a page
            too.
        output: The HTML file; its folder is made when missing.
        paper: The paper's networks as counted; counted here when None.

    Returns:
        The file.

    Raises:
        InputError: If a run does not exist or is damaged, or the file cannot be written.
    """
    runs = [load_run(path) for path in run_paths]
    path = Path(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, render(runs, paper=paper))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def render(runs: Sequence[RunData], *, paper: Sequence[PaperPoint] | None = None) -> str:
    """Return the page's HTML; see :func:`write_report`."""
    sections = [_section(run, index, paper) for index, run in enumerate(runs)]
    compared = _comparison(runs)
    figures = {name: fig for section in sections for name, fig in section.figures} | dict(compared)
    data = {
        "runs": [trial_table(run) for run in runs],
        "figures": {name: {"data": f.data, "layout": f.layout} for name, f in figures.items()},
    }
    html: str = _template().render(
        title=", ".join(dict.fromkeys(run.name for run in runs)) or "no run",
        sections=sections,
        compared=compared,
        data=_script_json(data),
        plotly=_plotly_script() if figures else "",
        css=_asset("page.css"),
        js=_asset("page.js"),
        version=__version__,
    )
    return html


def _section(run: RunData, index: int, paper: Sequence[PaperPoint] | None) -> _Section:
    figures = front_figures(run, index, _paper_for(run, paper))
    progress = hypervolume_figure({run.name: run}) if run.objectives else None
    if progress:
        progress.height = figures[0].height
        figures.insert(1, progress)
    return _Section(
        id=f"run{index}",
        name=run.name,
        path=str(run.path),
        notices=run.notices,
        sentences=sentences(run),
        picks=picks(run),
        figures=[(f"run{index}-figure{place}", figure) for place, figure in enumerate(figures)],
        failures=failures(run.trials),
        states=sorted({trial.state for trial in run.trials}),
        trials=len(run.trials),
        environment=environment_rows(run.environment),
        space_text=run.space_text,
        command=repeat_command(run),
    )


def _paper_for(run: RunData, paper: Sequence[PaperPoint] | None) -> Sequence[PaperPoint]:
    if paper is not None:
        return paper
    wanted = run.outline.model and {"macs", "params"} & set(run.objectives)
    return paper_points(convention_of(run.trials)) if wanted else ()


def _comparison(runs: Sequence[RunData]) -> list[tuple[str, Figure]]:
    """Return the hypervolume of all runs in one figure where they share their objectives."""
    ranked = [run for run in runs if run.objectives]
    if len(ranked) < 2 or any(run.objectives != ranked[0].objectives for run in ranked):
        return []
    named = {f"{run.name} ({run.path.name})": run for run in ranked}
    figure = hypervolume_figure(named)
    return [("compared-figure0", figure)] if figure else []


def _script_json(data: Any) -> str:
    """Serialise data for a script element: no character in it can end the element."""
    text = dump_json(data)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@lru_cache(maxsize=1)
def _plotly_script() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return resources.files("invsearch.report").joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _template() -> Any:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["own"] = Markup
    return environment.from_string(_asset("page.html"))
