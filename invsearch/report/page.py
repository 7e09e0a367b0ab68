"""The page: sections put into one HTML file, each on its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from invsearch._version import __version__
from invsearch.report import sections
from invsearch.report.benchmarks import Benchmark
from invsearch.report.blocks import Prose, Section
from invsearch.report.columns import trial_columns
from invsearch.report.contests import ContestResult
from invsearch.report.paper import PaperPoint
from invsearch.report.repeat import clock_rows
from invsearch.report.shown import PageMaterial, ShownRun
from invsearch.report.web.assets import asset, script, template
from invsearch.report.web.plotly_script import PlotlyMode, PlotlyScript, plotly_script, write_beside
from invsearch.runs import RunData, load_run
from invsearch.runs.outputs import write_checked

__all__ = ["Say", "render", "silent", "write_report"]

Given = TypeVar("Given")

Say = Callable[[str], None]
"""Takes a line about what could not be shown."""


def silent(line: str) -> None:
    """Say nothing: the page has the line too."""


def write_report(
    run_paths: Sequence[str | Path],
    output: str | Path,
    *,
    plotlyjs: PlotlyMode = "inline",
    paper: Sequence[PaperPoint] | None = None,
    reproduction: Mapping[str, Any] | None = None,
    benchmarks: Sequence[Benchmark] | None = None,
    contests: Sequence[ContestResult] | None = None,
    say: Say = silent,
) -> Path:
    """Write one page about runs.

    Args:
        run_paths: Folders of runs, or names under ``results/``; empty and failed runs give a page
            too.
        output: The HTML file; its folder is made when missing. ``-`` is standard output.
        plotlyjs: Whether plotly.js is in the page (``inline``), in a file beside it (``directory``)
            or fetched when the page opens (``cdn``).
        paper: As all that follow but the last, see
            :class:`invsearch.report.shown.PageMaterial`.
        reproduction: The paper's tables and figures.
        benchmarks: Measurements of the operators.
        contests: Comparisons of search strategies.
        say: Told of what reading dropped, and of every section that could not be made; the page
            says so in its place.

    Returns:
        The file.

    Raises:
        InputError: If a run does not exist or is damaged, or the file cannot be written.
    """
    runs = [load_run(path) for path in run_paths]
    for notice in (notice for run in runs for notice in run.notices):
        say(notice)
    path = Path(output)
    material = PageMaterial(runs, paper, reproduction, benchmarks, contests)
    html = render(material, plotlyjs=plotlyjs, say=say)
    write_checked(path, html)
    if plotlyjs == "directory":
        write_beside(path)
    return path


@dataclass(frozen=True)
class _Placed:
    """A section in its place.

    Attributes:
        id: The id of its element.
        section: What it shows.
        figures: Its figures as the page's script reads them, by the id of their element.
    """

    id: str
    section: Section
    figures: Mapping[str, str]


@dataclass(frozen=True)
class _Group:
    """Sections that belong together: those of one run, or those of the page.

    Attributes:
        parts: The sections.
        id: The id of its element; empty where it has none.
        title: Its heading; empty where it needs none.
        path: What is said beside it.
        notices: What must be known before anything else.
        link: What the navigation calls all of it; empty where it names the sections.
    """

    parts: Sequence[_Placed]
    id: str = ""
    title: str = ""
    path: str = ""
    notices: Sequence[str] = field(default=())
    link: str = ""

    @property
    def links(self) -> list[tuple[str, str]]:
        """What the navigation shows of it."""
        if self.link:
            return [(self.id, self.link)]
        return [(part.id, part.section.label) for part in self.parts]


def render(material: PageMaterial, *, plotlyjs: PlotlyMode = "inline", say: Say = silent) -> str:
    """Return the page's HTML.

    Args:
        material: What it is about.
        plotlyjs: As for :func:`write_report`.
        say: As for :func:`write_report`.
    """
    shown = [ShownRun(run, index, material.paper) for index, run in enumerate(material.runs)]
    runs = [_run_group(one, alone=len(shown) == 1, say=say) for one in shown]
    before, after = (
        _Group(_parts(table, material, "", say))
        for table in (sections.BEFORE_RUNS, sections.AFTER_RUNS)
    )
    groups = [before, *runs, after]
    figures: dict[str, str] = {}
    for part in (part for group in groups for part in group.parts):
        figures |= part.figures
    html: str = template().render(
        title=", ".join(dict.fromkeys(run.name for run in material.runs)) or "no run",
        lead=_lead(shown[0].run) if len(shown) == 1 else "",
        links=[link for group in groups for link in group.links],
        groups=groups,
        shows_runs=bool(shown),
        data=_data([_of_run(one, group) for one, group in zip(shown, runs, strict=True)], figures),
        plotly=plotly_script(plotlyjs) if figures else PlotlyScript(),
        css=asset("page.css"),
        js=script(),
        version=__version__,
    )
    return html


def _lead(run: RunData) -> str:
    began = next((began for _, began in clock_rows(run)), "")
    return f"{run.path}, began {began}" if began else str(run.path)


def _run_group(shown: ShownRun, *, alone: bool, say: Say) -> _Group:
    run, parts = shown.run, _parts(sections.SECTIONS, shown, f"{shown.id}-", say)
    if alone:
        return _Group(parts, shown.id, notices=run.notices)
    return _Group(parts, shown.id, run.name, str(run.path), run.notices, shown.folder)


def _parts(
    table: Sequence[tuple[str, Callable[[Given], Section | None]]],
    given: Given,
    prefix: str,
    say: Say,
) -> list[_Placed]:
    made = [_part(name, make, given, prefix, say) for name, make in table]
    return [part for part in made if part]


def _part(
    name: str, make: Callable[[Given], Section | None], given: Given, prefix: str, say: Say
) -> _Placed | None:
    """Make a section; one that raises is a line in its place, and the others are as they were.

    What JSON has no word for is found here too: written with the whole page it would cost the page.
    """
    try:
        section = make(given)
        drawn = section.drawn if section else []
        figures = {element: _json(figure.to_json()) for element, figure in drawn}
        _json(section.data if section else {})
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        line = f"the section {prefix}{name} could not be made: {reason}"
        say(line)
        label, figures = name.capitalize(), {}
        section = Section(label, [Prose(line[:1].upper() + line[1:], "notice")])
    return _Placed(f"{prefix}{name}", section, figures) if section else None


def _of_run(shown: ShownRun, group: _Group) -> str:
    """Return what the page's script needs to know of a run."""
    data = trial_columns(shown.run)
    for part in group.parts:
        data |= part.section.data
    return _json(data)


def _data(runs: Sequence[str], figures: Mapping[str, str]) -> str:
    drawn = ",".join(f"{_json(name)}:{text}" for name, text in figures.items())
    return f'{{"runs":[{",".join(runs)}],"figures":{{{drawn}}}}}'


def _json(data: Any) -> str:
    """Serialise data for a script element: no character in it can end the element."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
