"""What can be counted of the involution paper, counted here again."""

from __future__ import annotations

from invsearch.report.blocks import Figures, Fold, PageBlock, Prose, Section
from invsearch.report.plot.published import paper_figures
from invsearch.report.reproduction import PaperTable, paper_tables, reproduction_data
from invsearch.report.shown import PageMaterial

__all__ = ["section"]

_WHAT = (
    "What can be counted of the involution paper (CVPR 2021), counted here again. The same in a"
    " terminal:"
)


def section(material: PageMaterial) -> Section | None:
    """Show the paper's figures and tables; None where no run is one of networks."""
    data = material.reproduction
    if data is None:
        data = reproduction_data() if material.of_networks else {}
    figures, tables = paper_figures(data), paper_tables(data)
    if not figures and not tables:
        return None
    blocks: list[PageBlock] = [Prose(_WHAT, code="invsearch reproduce")]
    blocks += [Figures.called("paper-figure", figures)] if figures else []
    blocks += [_fold(table, first=place == 0) for place, table in enumerate(tables)]
    return Section("Reproduction", blocks, title="Reproduction of the paper")


def _fold(table: PaperTable, *, first: bool) -> Fold:
    name, tone = table.name[:1].upper() + table.name[1:], "good" if table.good else "bad"
    return Fold(name, table.grid, open=first, verdict=table.outcome, tone=tone)
