"""Explanations as rich tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from invsearch.value import compact, significant

if TYPE_CHECKING:
    from invsearch.explain.explanation import Explanation
    from invsearch.explain.layers import LayersExplanation
    from invsearch.latency import LayerLatencies
    from invsearch.metrics import Metric

__all__ = ["render", "render_layers"]

_MAX_ROWS = 60  # of a table in a terminal, about two screens


def render(explanation: Explanation) -> RenderableType:
    """An explanation for a terminal."""
    parts: list[RenderableType] = [_head(explanation), _parameters(explanation)]
    if explanation.constants:
        parts.append(Text(f"constants: {_pairs(explanation.constants)}"))
    if explanation.ranges:
        parts.append(_ranges(explanation))
    parts.append(_samples(explanation))
    if explanation.unreachable:
        parts.append(Text("no possible architecture has: " + ", ".join(explanation.unreachable)))
    return Group(*parts)


def render_layers(explanation: LayersExplanation) -> RenderableType:
    """The layers of a network for a terminal."""
    size = explanation.resolution
    height, width = (size, size) if isinstance(size, int) else size
    table = Table(title=Text(f"at {width} x {height}"))
    table.add_column("layer", no_wrap=True)
    for name in ("operator", "output"):
        table.add_column(name, overflow="fold")
    measured = explanation.latency
    counts = ("params", "MACs (fvcore)", "MACs (paper)", "bytes")
    for name in (*counts, *(("latency (ms)", "95 % interval") if measured else ())):
        table.add_column(name, justify="right", overflow="fold")
    rows = [(row.params, row.macs_fvcore, row.macs_paper, row.bytes) for row in explanation.layers]
    for layer, row in zip(explanation.layers, rows, strict=True):
        shape = " x ".join(map(str, layer.output_shape))
        times = _times(measured.layers[layer.name]) if measured else ()
        table.add_row(layer.name, layer.operator, shape, *(f"{n:,}" for n in row), *times)
    totals = [f"{sum(column):,}" for column in zip(*rows, strict=True)]
    table.add_section()
    sums = (significant(measured.sum_ms), "") if measured else ()
    table.add_row("total", "", "", *totals, *sums)
    parts: list[RenderableType] = [Text(_pairs(explanation.architecture)), table]
    if measured:
        parts.append(Text(_latency_note(measured)))
    return Group(*parts)


def _times(latency: Metric) -> tuple[str, str]:
    value, low, high = (significant(n, 3) for n in (latency.value, latency.low, latency.high))
    return value, f"{low} to {high}"


def _latency_note(measured: LayerLatencies) -> str:
    """What was timed, how the whole and its parts differ, and what disturbed them."""
    detail, (value, interval) = measured.network.detail, _times(measured.network)
    note = (
        f"the whole network takes {value} ms ({interval}), its layers, each timed alone, "
        f"{significant(measured.sum_ms, 3)} ms together: alone, a layer finds its tensors in the "
        "cache and its memory mapped. "
        f"Measured on {detail['device']}, batch {detail['shape'][0]}, threads {detail['threads']}"
    )
    flags = [latency.detail["flags"] for latency in (measured.network, *measured.layers.values())]
    if not any(flags):
        return note
    kinds = sorted({flag.partition(":")[0] for found in flags for flag in found})
    return f"{note}; {sum(map(bool, flags))} of {len(flags)} disturbed: {', '.join(kinds)}"


def _head(explanation: Explanation) -> Text:
    size = f"{explanation.size:,}" if isinstance(explanation.size, int) else "infinitely many"
    bound = "" if explanation.exact else "at most "
    objectives = "; ".join(f"{name} ({how})" for name, how in explanation.objectives.items())
    plural = "" if explanation.size == 1 else "s"
    return Text(f"{explanation.name}: {bound}{size} architecture{plural}\nobjectives: {objectives}")


def _parameters(explanation: Explanation) -> Table:
    table = Table(title="what may vary", title_justify="left")
    for name in ("parameter", "values", "when"):
        table.add_column(name)
    for line in explanation.parameters[:_MAX_ROWS]:
        times = f" (x{line.count})" if line.count > 1 else ""
        table.add_row(Text(line.name + times), Text(line.values), Text(line.condition or "always"))
    hidden = len(explanation.parameters) - _MAX_ROWS
    if hidden > 0:
        table.add_row(f"and {hidden} more", "", "")
    return table


def _ranges(explanation: Explanation) -> Table:
    table = Table(title=Text(f"costs ({explanation.counted_for})"), title_justify="left")
    table.add_column("metric")
    for name in ("from", "to"):
        table.add_column(name, justify="right")
    table.add_column("how")
    words = {
        "exact": "all counted",
        "sampled": "samples, then climbed to both ends",
        "drawn": "samples alone: counting takes long",
    }
    for found in explanation.ranges:
        table.add_row(
            Text(found.name), compact(found.low), compact(found.high), words[found.method]
        )
    return table


def _samples(explanation: Explanation) -> Table:
    table = Table(title="samples", title_justify="left")
    names = list(dict.fromkeys(name for _, costs in explanation.samples for name in costs))
    table.add_column("architecture")
    for name in names:
        table.add_column(Text(name), justify="right")
    for architecture, costs in explanation.samples:
        table.add_row(Text(_pairs(architecture)), *(compact(costs.get(name)) for name in names))
    return table


def _pairs(values: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
