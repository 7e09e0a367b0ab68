"""How to repeat the run: the command, where it ran, its space file."""

from __future__ import annotations

from invsearch.report.blocks import Code, Columns, Facts, PageBlock, Prose, Section
from invsearch.report.repeat import clock_rows, environment_rows, repeat_command
from invsearch.report.shown import ShownRun

__all__ = ["section"]

_UNKNOWN = Prose("Not recorded.")


def section(shown: ShownRun) -> Section:
    """Show what repeats the run."""
    run, environment = shown.run, list[tuple[str, str]]()
    if run.environment:
        environment = [*clock_rows(run), *environment_rows(run.environment)]
    where: PageBlock = Facts(environment) if environment else _UNKNOWN
    text = run.space_text
    space: PageBlock = Code(text, "Space file", command=False) if text else _UNKNOWN
    command = Code(repeat_command(run), "Command that repeats the run")
    columns = Columns([("Environment", where), ("Space file", space)])
    return Section("Repeat", [command, columns], title="Repeat this run")
