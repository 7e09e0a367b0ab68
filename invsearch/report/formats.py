"""The formats of ``invsearch report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invsearch.atomic import is_standard_output
from invsearch.errors import InputError, nearest
from invsearch.report.exports import write_csv, write_json
from invsearch.report.page import Say, silent, write_report
from invsearch.report.places import default_output
from invsearch.report.plot.picture import write_png
from invsearch.report.web.plotly_script import check_mode
from invsearch.runs.outputs import check_output

__all__ = ["FORMATS", "write"]

_DATA = {"csv": write_csv, "json": write_json}
FORMATS = ("html", *_DATA, "png")


def write(
    folders: Sequence[Path],
    output: Path | None = None,
    *,
    form: str = "html",
    plotlyjs: str = "",
    say: Say = silent,
) -> list[Path]:
    """Write runs as a page, as data or as pictures.

    Args:
        folders: The runs' folders.
        output: The file; ``reports/<run>.<format>`` when None.
        form: One of :data:`FORMATS`; ``png`` writes a file per figure.
        plotlyjs: How a page gets plotly.js: ``inline`` (the default), ``directory`` or ``cdn``.
        say: Told of every section of a page that could not be made.

    Returns:
        The files written.

    Raises:
        InputError: If an option is unknown or does not fit the format, a run is damaged, a file
            cannot be written, or what a picture needs is missing.
    """
    if form not in FORMATS:
        raise InputError(
            f"--format {form!r}: choose from {', '.join(FORMATS)}{nearest(form, FORMATS)}"
        )
    if plotlyjs and form != "html":
        raise InputError(f"--plotlyjs is about pages: it has no meaning with --format {form}")
    if output is not None:
        if is_standard_output(output) and (form == "png" or plotlyjs == "directory"):
            raise InputError(f"-o {output}: several files are written, which need names")
        check_output(output)  # before the work, not after it
    path = output or default_output(folders).with_suffix(f".{form}")
    if form in _DATA:
        return [_DATA[form](folders, path)]
    if form == "png":
        return write_png(folders, path)
    return [write_report(folders, path, plotlyjs=check_mode(plotlyjs or "inline"), say=say)]
