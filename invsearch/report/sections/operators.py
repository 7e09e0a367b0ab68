"""The operators as they were measured, on this machine and on a GPU."""

from __future__ import annotations

from invsearch.report.benchmarks import Benchmark, find_benchmarks
from invsearch.report.blocks import Figures, Fold, Heading, PageBlock, Prose, Section
from invsearch.report.gpu import find_gpu_benchmark
from invsearch.report.shown import PageMaterial

__all__ = ["section"]


def section(material: PageMaterial) -> Section | None:
    """Show every benchmark; None where there is none."""
    measured = _found(material) if material.benchmarks is None else material.benchmarks
    blocks = [block for place, one in enumerate(measured) for block in _blocks(place, one)]
    return Section("Operators", blocks, title="Operators measured") if blocks else None


def _found(material: PageMaterial) -> list[Benchmark]:
    """Return what was measured of the operators; what of a GPU, where networks are shown."""
    return [*find_benchmarks(), *([find_gpu_benchmark()] if material.of_networks else [])]


def _blocks(place: int, one: Benchmark) -> list[PageBlock]:
    named = [(f"bench-figure{place}", one.roofline)] if one.roofline else []
    return [
        Heading(one.name),
        Prose(one.machine, "hint"),
        *([Figures(named, beside=False)] if named else []),
        Fold(f"All {len(one.rows)} measurements", one.grid, open=not named),
    ]
