"""The three ways in which a page gets plotly.js."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from invsearch.errors import InputError, nearest

__all__ = ["PlotlyMode", "PlotlyScript", "check_mode", "plotly_script", "write_beside"]

PlotlyMode = Literal["inline", "directory", "cdn"]
"""``inline``: in the page; ``directory``: a file beside it; ``cdn``: fetched when it opens."""

FILE = "plotly.min.js"


@dataclass(frozen=True)
class PlotlyScript:
    """What the page says about plotly.js.

    Attributes:
        text: The library itself; empty where it is fetched.
        address: Where it is fetched; empty where it is in the page.
        integrity: Hash that what is fetched must have.
        sources: What the page's policy must allow for it, after ``script-src``.
        remark: What the reader should know.
    """

    text: str = ""
    address: str = ""
    integrity: str = ""
    sources: str = "'unsafe-inline'"
    remark: str = "this page makes no request to anywhere"


def check_mode(mode: str) -> PlotlyMode:
    """Return the mode.

    Raises:
        InputError: If there is no such mode.
    """
    allowed: tuple[PlotlyMode, ...] = get_args(PlotlyMode)
    for known in allowed:
        if mode == known:
            return known
    hint = nearest(mode, allowed)
    raise InputError(f"--plotlyjs {mode!r}: choose from {', '.join(allowed)}{hint}")


def plotly_script(mode: PlotlyMode = "inline") -> PlotlyScript:
    """Return how a page gets plotly.js."""
    if mode == "inline":
        return PlotlyScript(text=_library().replace("</script", "<\\/script"))
    if mode == "directory":
        remark = f"this page needs the file {FILE} beside it"
        return PlotlyScript(address=FILE, sources="'unsafe-inline' 'self' file:", remark=remark)
    from plotly.offline import get_plotlyjs_version

    host = "https://cdn.plot.ly"
    digest = base64.b64encode(hashlib.sha256(_library().encode()).digest()).decode()
    return PlotlyScript(
        address=f"{host}/plotly-{get_plotlyjs_version()}.min.js",
        integrity=f"sha256-{digest}",
        sources=f"'unsafe-inline' {host}",
        remark=f"this page fetches plotly.js from {host}, and nothing else",
    )


def write_beside(page: Path) -> Path:
    """Write plotly.js beside a page of the mode ``directory``.

    Returns:
        The file.
    """
    from invsearch.runs.outputs import write_checked

    path = page.parent / FILE
    write_checked(path, _library())
    return path


@lru_cache(maxsize=1)
def _library() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
