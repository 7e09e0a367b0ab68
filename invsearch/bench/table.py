"""What `invsearch bench` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from invsearch.bench.against import Change
from invsearch.bench.case import Result
from invsearch.bench.layers import CONVOLUTION
from invsearch.bench.memory import AT_MOST, ExtraMemory
from invsearch.bench.reach import ReachOutcome
from invsearch.bench.session import BenchSession
from invsearch.value import significant
from ops.timing import Interval, Measurement, Roofline

__all__ = ["changes_table", "session_tables"]

_STYLES = {
    "faster": "green",
    "aim": "green",
    "at least": "green",
    "slower": "red",
    "missed": "red",
    "cannot tell": "yellow",
}


def session_tables(session: BenchSession) -> Group:
    """The machine's ceilings, the cases, the claims, the memory, and what could not run."""
    parts: list[Any] = [_machine(session)]
    if session.results:
        parts.append(_cases(session))
    if session.outcomes():
        parts.append(_reach(session.outcomes()))
    if session.memory:
        parts.append(_memory(session.memory))
    return Group(*parts, *_notes(session))


def changes_table(changes: Sequence[Change]) -> Table:
    """A verdict for each candidate of each case."""
    table = _table("case", "candidate", "times faster than earlier", "verdict", "why")
    for change in changes:
        verdict = _coloured(change.verdict)
        table.add_row(
            change.case, change.candidate, _ratio(change.speedup), verdict, change.reason or ""
        )
    return table


def _cases(session: BenchSession) -> Table:
    table = _table(
        "case",
        "candidate",
        "ms",
        "GFLOP/s",
        "GB/s",
        "roofline",
        "over",
        "speed-up",
        "!",
    )
    for result in session.results:
        for number, (name, one) in enumerate(result.comparison.measurements.items()):
            title = result.name if number == 0 else ""
            table.add_row(title, name, *_row(result, name, one, session.roof))
        table.add_section()
    return table


def _row(result: Result, name: str, one: Measurement, roof: Roofline) -> Iterator[str]:
    low, high = one.interval_ms
    rates = result.rates(name, roof)
    yield f"{significant(one.median_ms)} ({significant(low)} to {significant(high)})"
    yield significant(rates["gflops"], 3) if rates else ""
    yield significant(rates["gbytes_per_s"], 3) if rates else ""
    yield f"{rates['roofline']:.0%}" if rates else ""
    others = [result.comparison.reference]
    if CONVOLUTION in result.comparison.measurements and CONVOLUTION not in others:
        others.append(CONVOLUTION)
    others = [other for other in others if other != name]
    yield "\n".join(others)
    yield "\n".join(_ratio(result.comparison.speedup(name, other)) for other in others)
    yield "*" if one.flags or one.missed else ""


def _reach(outcomes: Sequence[ReachOutcome]) -> Table:
    table = _table("what", "over", "ratio", "at least", "aim", "reached")
    for one in outcomes:
        claim = one.claim
        bounds = f"{claim.at_least:g}x", f"{claim.aim:g}x"
        table.add_row(claim.what, one.over, _ratio(one.ratio), *bounds, _coloured(one.reached))
    return table


def _memory(found: Sequence[ExtraMemory]) -> Table:
    table = _table("extra memory, 56 x 56, 8 images", "MB", "of the kernel tensor", "at most")
    for one in found:
        table.add_row(
            one.candidate,
            significant(one.extra_bytes / 1e6, 3),
            f"{one.part:.1%}",
            f"{AT_MOST:.0%}",
        )
    return table


def _machine(session: BenchSession) -> str:
    around, roof = session.environment, session.roof
    return (
        f"{around['cpu_model']}, {around['cpu_capability']}, {session.settings.threads} threads, "
        f"nice {around['nice']}, torch {around['torch']}; {session.settings.cache} cache; "
        f"at most {significant(roof.gflops)} GFLOP/s and {significant(roof.gbytes_per_s, 3)} GB/s"
    )


def _notes(session: BenchSession) -> Iterator[str]:
    """What the asterisks mean, each reason once, and what did not run."""
    reasons: dict[str, None] = {}
    skipped: dict[str, str] = dict(session.failures)
    for result in session.results:
        skipped.update(result.skipped)
        for one in result.comparison.measurements.values():
            reasons.update(dict.fromkeys(_kinds(one)))
    if any("native" in result.comparison.measurements for result in session.results):
        yield "default: as users get it, fused where that is faster; a back end by name: unfused"
    if reasons:
        yield f"* disturbed or cut short: {'; '.join(reasons)}"
    yield from (f"skipped {name}: {reason}" for name, reason in skipped.items())


def _kinds(one: Measurement) -> Iterator[str]:
    """Its flags without their details, which differ from case to case."""
    for flag in one.flags:
        yield flag.partition(":")[0]
    if one.missed:
        yield "time limit before enough samples or a narrow interval"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        words = column in ("case", "candidate", "over", "what", "verdict", "why", "reached", "!")
        table.add_column(column, justify="left" if words else "right", no_wrap=column == "case")
    return table


def _ratio(times: Interval) -> str:
    value, low, high = (significant(end, 3) for end in (times.value, times.low, times.high))
    return f"{value}x ({low} to {high})"


def _coloured(word: str) -> str:
    style = _STYLES.get(word)
    return f"[{style}]{word}[/{style}]" if style else word
