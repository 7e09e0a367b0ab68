"""The page's template, style sheet and scripts, as they lie in the package."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

__all__ = ["asset", "script", "template"]

SCRIPTS = (
    "theme.js", "numbers.js", "data.js", "drawing.js", "selection.js", "keyboard.js",
    "parallel.js", "layers.js", "cells.js", "table.js", "download.js", "page.js",
)  # fmt: skip
"""In the order in which they follow one another in the page's one function."""


def asset(name: str) -> str:
    """Return a file of the package as text."""
    return resources.files("invsearch.report.web").joinpath(name).read_text(encoding="utf-8")


def script() -> str:
    """Return the page's own script: its files as the body of one function."""
    return '"use strict";\n(() => {\n' + "\n".join(asset(name) for name in SCRIPTS) + "})();\n"


@lru_cache(maxsize=1)
def template() -> Any:
    """Return the page's template; what it is given is escaped unless it is marked as ours."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["own"] = Markup
    return environment.get_template("page.html")
