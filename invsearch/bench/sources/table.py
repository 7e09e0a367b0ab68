"""The sources as a table of the terminal."""

from __future__ import annotations

from rich.table import Table

from invsearch.accuracy.worth import Row, useless
from invsearch.bench.sources.command import Measured

__all__ = ["sources_table"]


def sources_table(measured: Measured) -> Table:
    """A row a source, the best first; what ranks no better than the parameter count says so."""
    asked = measured.settings
    table = Table(
        title=f"{measured.space.name}: Kendall's tau with {measured.metric}, "
        f"{asked.networks} networks, the mean of {asked.seeds} seeds",
        title_justify="left",
    )
    table.add_column("source")
    for heading in ("tau", "95 % interval", "at equal cost", "95 % interval", "CPU s a network"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in measured.rows:
        table.add_row(*_cells(row), "useless here" if useless(row, measured.rows) else "")
    return table


def _cells(row: Row) -> list[str]:
    found = row.found
    return [
        row.source,
        _figure(found.tau),
        f"{_figure(found.low)} to {_figure(found.high)}",
        _figure(found.equal_cost),
        f"{_figure(found.equal_low)} to {_figure(found.equal_high)}",
        f"{row.cpu_seconds:.3g}" + (f" + {row.once:.0f} once" if row.once else ""),
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
