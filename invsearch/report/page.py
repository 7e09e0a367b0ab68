"""The page: figures, tables and texts put into one HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from invsearch._version import __version__
from invsearch.errors import InputError
from invsearch.report.assets import asset, script, template
from invsearch.report.benchmarks import Benchmark, find_benchmarks
from invsearch.report.compared import comparison
from invsearch.report.gpu import find_gpu_benchmark
from invsearch.report.paper import PaperPoint
from invsearch.report.plotly_script import PlotlyMode, PlotlyScript, plotly_script, write_beside
from invsearch.report.reproduction import paper_figures, paper_tables, reproduction_data
from invsearch.report.section import section
from invsearch.report.strategies import Contest, find_contests
from invsearch.runs import RunData, load_run
from invsearch.runs.files import write_atomic

__all__ = ["render", "write_report"]


def write_report(
    run_paths: Sequence[str | Path],
    output: str | Path,
    *,
    plotlyjs: PlotlyMode = "inline",
    paper: Sequence[PaperPoint] | None = None,
    reproduction: Mapping[str, Any] | None = None,
    benchmarks: Sequence[Benchmark] | None = None,
    contests: Sequence[Contest] | None = None,
) -> Path:
    """Write one page about runs.

    Args:
        run_paths: Folders of runs, or names under ``results/``; empty and failed runs give a page
            too.
        output: The HTML file; its folder is made when missing.
        plotlyjs: Whether plotly.js is in the page (``inline``), in a file beside it (``directory``)
            or fetched when the page opens (``cdn``).
        paper: The paper's networks as counted; counted here when None.
        reproduction: The paper's tables and figures as
            :func:`invsearch.paper.section.reproduction_section_data` gives them; when None they are
            counted where a run is one of networks. Empty leaves them out.
        benchmarks: Measurements of the operators; those under ``results/`` when None.
        contests: Comparisons of search strategies; those under ``results/`` when None.

    Returns:
        The file.

    Raises:
        InputError: If a run does not exist or is damaged, or the file cannot be written.
    """
    runs = [load_run(path) for path in run_paths]
    path = Path(output)
    html = render(
        runs,
        plotlyjs=plotlyjs,
        paper=paper,
        reproduction=reproduction,
        benchmarks=benchmarks,
        contests=contests,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, html)
        if plotlyjs == "directory":
            write_beside(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def render(
    runs: Sequence[RunData],
    *,
    plotlyjs: PlotlyMode = "inline",
    paper: Sequence[PaperPoint] | None = None,
    reproduction: Mapping[str, Any] | None = None,
    benchmarks: Sequence[Benchmark] | None = None,
    contests: Sequence[Contest] | None = None,
) -> str:
    """Return the page's HTML; see :func:`write_report`."""
    sections = [section(run, index, paper) for index, run in enumerate(runs)]
    compared = comparison(runs)
    data = _reproduction(runs) if reproduction is None else reproduction
    redrawn = [(f"paper-figure{i}", figure) for i, figure in enumerate(paper_figures(data))]
    measured = _benchmarks(runs) if benchmarks is None else benchmarks
    roofs = [(f"bench-figure{i}", b.roofline) for i, b in enumerate(measured) if b.roofline]
    own = [named for each in sections for named in each.figures]
    own += compared.figures if compared else []
    compared_strategies = find_contests() if contests is None else contests
    raced = [(f"contest-figure{i}", each) for i, each in enumerate(compared_strategies)]
    figures = dict([*own, *redrawn, *roofs, *((name, each.figure) for name, each in raced)])
    html: str = template().render(
        title=", ".join(dict.fromkeys(run.name for run in runs)) or "no run",
        sections=sections,
        compared=compared,
        paper={"tables": paper_tables(data), "figures": redrawn},
        benchmarks=[(each, [r for r in roofs if r[1] is each.roofline]) for each in measured],
        contests=raced,
        data=_script_json(
            {
                "runs": [each.data() for each in sections],
                "figures": {name: figure.to_json() for name, figure in figures.items()},
            }
        ),
        plotly=plotly_script(plotlyjs) if figures else PlotlyScript(),
        css=asset("page.css"),
        js=script(),
        version=__version__,
    )
    return html


def _reproduction(runs: Sequence[RunData]) -> Mapping[str, Any]:
    return reproduction_data() if any(run.outline.model for run in runs) else {}


def _benchmarks(runs: Sequence[RunData]) -> list[Benchmark]:
    """Return what was measured of the operators; what of a GPU, where networks are shown."""
    of_networks = any(run.outline.model for run in runs)
    return [*find_benchmarks(), *([find_gpu_benchmark()] if of_networks else [])]


def _script_json(data: Any) -> str:
    """Serialise data for a script element: no character in it can end the element."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
