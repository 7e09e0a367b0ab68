"""The fronts of runs as pictures for a paper."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from invsearch.errors import InputError
from invsearch.report.paper import PaperPoint, papers_for
from invsearch.report.plot.figure import Figure
from invsearch.report.plot.front import front_figures
from invsearch.report.plot.hypervolume import hypervolume_figure
from invsearch.report.text import plot_text
from invsearch.report.web.assets import asset
from invsearch.runs import RunData, load_run

__all__ = ["write_png"]

_SIZE = (900, 620)  # pixels before scale: text of 14 px reads well at a column of 85 mm
_SCALE = 2  # 1800 pixels across that column are 540 dpi, above the 300 that journals ask for


def write_png(
    run_paths: Sequence[str | Path], output: Path, *, paper: Sequence[PaperPoint] | None = None
) -> list[Path]:
    """Write the front of every pair of objectives, and the hypervolume, as pictures.

    Args:
        run_paths: Folders of runs, or names under ``results/``.
        output: The first picture; the others are called ``NAME-2.png`` and so on.
        paper: The paper's networks as counted; counted here when None.

    Returns:
        The files.

    Raises:
        InputError: If kaleido or a browser for it is missing, or there is nothing to draw.
    """
    figures = [
        figure
        for index, path in enumerate(run_paths)
        for figure in _pictures(load_run(path), index, paper)
    ]
    if not figures:
        raise InputError("there is no picture to write: no run has a trial that can be compared")
    paths = [_numbered(output, place) for place in range(1, len(figures) + 1)]
    return [_draw(figure, path) for figure, path in zip(figures, paths, strict=True)]


def _pictures(run: RunData, index: int, paper: Sequence[PaperPoint] | None) -> list[Figure]:
    progress = hypervolume_figure(run, index) if run.objectives else None
    figures = front_figures(run, index, papers_for(run, paper))
    return [*figures, *([progress] if progress else [])]


def _numbered(output: Path, place: int) -> Path:
    return output if place == 1 else output.with_name(f"{output.stem}-{place}{output.suffix}")


def _draw(figure: Figure, path: Path) -> Path:
    import plotly.graph_objects as go

    if find_spec("kaleido") is None:
        raise InputError(
            "a picture needs kaleido: python3 -m pip install 'invsearch[png]'"
            " (and Chrome or Chromium; BROWSER_PATH names one that is not found)"
        )
    drawing = go.Figure(data=_printed(_with_names(figure)), layout=_printed(_layout(figure)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.write_image(path, width=_SIZE[0], height=_SIZE[1], scale=_SCALE)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: kaleido could not draw it: {reason} BROWSER_PATH may name Chrome or Chromium."
        ) from None
    return path


def _with_names(figure: Figure) -> list[dict[str, Any]]:
    """Return the traces with the key's texts as names."""
    traces = [dict(trace) for trace in figure.data]
    for entry in figure.legend:
        for trace in entry.traces[-1:]:
            traces[trace] |= {"name": plot_text(entry.text), "showlegend": len(figure.legend) > 1}
    return traces


def _layout(figure: Figure) -> dict[str, Any]:
    axis = {"gridcolor": "@grid", "linecolor": "@muted", "zeroline": False, "ticks": "outside"}
    axes = {key: {**axis, **value} for key, value in figure.layout.items() if key[1:5] == "axis"}
    font = {"family": "sans-serif", "size": 14, "color": "@ink"}
    return {
        **figure.layout, **axes, "font": font, "paper_bgcolor": "white", "plot_bgcolor": "white",
        "margin": {"l": 60, "r": 20, "t": 40, "b": 60},
        "legend": {"orientation": "h", "y": 1.07, "yanchor": "bottom"},
    }  # fmt: skip


def _printed(value: Any) -> Any:
    """Replace the theme's colour names by the light theme's colours."""
    if isinstance(value, str):
        return _colour(value[1:]) if value.startswith("@") else value
    if isinstance(value, list):
        return [_printed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _printed(item) for key, item in value.items()}
    return value


def _colour(name: str) -> str:
    """Return a colour of the style sheet's light theme."""
    base, _, kind = name.partition("-")
    found = re.search(rf"--{re.escape(base)}: (#[0-9a-f]{{6}})", asset("page.css"))
    return (found[1] if found else "#000000") + {"bar": "80", "band": "33"}.get(kind, "")
