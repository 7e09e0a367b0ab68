"""Measuring a space's latency table on a device, and reading such tables side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import spearmanr

from invsearch.errors import InputError, nearest
from invsearch.latency.carried import read_table
from invsearch.latency.place import Place
from invsearch.latency.table import LatencyTable
from invsearch.latency.tabled import TabledLatency
from invsearch.problem import problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.space import Latency, OnTarget, SpaceFile, Timing
from invsearch.takeaway.device import check_device

__all__ = ["ReadTable", "TablePair", "compare_tables", "measure_table", "read_tables"]

_ENOUGH = 3  # blocks: two are in the right order by chance half of the time


def measure_table(
    space_file: SpaceFile,
    output: Path,
    *,
    target: str | None = None,
    say: Callable[[str], None] = lambda text: None,
    advance: Callable[[int, int], object] = lambda done, of: None,
) -> LatencyTable:
    """Measure every distinct block of a space, and some whole networks, on a device here.

    The file is replaced after each few dozen blocks: what was killed goes on where it was.

    Args:
        space_file: The space, and how latency is measured.
        output: The file of the table.
        target: One of ``latency.targets``; None for the section itself, or the only target.
        say: Tells the user what is measured.
        advance: Hears how many blocks and networks are measured, and of how many.

    Raises:
        InputError: If the space is not one of networks, has no such target, or the device, the
            runtime or the file stands in the way.
    """
    problem = problem_of(space_file)
    if not isinstance(problem, NetworkProblem):
        raise InputError(f"{space_file.path}: only a space of networks has latency to measure")
    place = _place(space_file, target)
    check_device(place.section.device)
    reason = place.problem()
    if reason is not None:
        raise InputError(f"{place.key}: {reason}")
    if output.is_dir():
        raise InputError(f"-o {output} is a folder: name a file, such as {output / 'device.json'}")
    setting = problem.setting
    images = place.images(setting.resolution)
    tabled = TabledLatency(output, setting.space, setting.spec, place.target, images, say, advance)
    tabled.prepare()
    return tabled.table


def _place(space_file: SpaceFile, target: str | None) -> Place:
    section = space_file.latency or Latency()
    names = section.targets
    if target is None and len(names) == 1 and "latency_ms" not in space_file.objectives:
        target = next(iter(names))
    if target is None:
        return Place("latency", "", _to_measure(section), ("latency_ms",))
    if target not in names:
        there = f"; there are: {', '.join(names)}" if names else ""
        raise InputError(
            f"--target {target!r} is none of latency.targets{nearest(target, names)}{there}"
        )
    measured = _to_measure(names[target])
    return Place(f"latency.targets.{target}", f"@{target}", measured, ("latency_ms",))


def _to_measure(section: Timing) -> Timing:
    """The section as it is measured here: its own table may be the file that is to be made.

    Its resource says how searches elsewhere find this machine.
    """
    here = {"resource": None} if isinstance(section, OnTarget) else {}
    return section.model_copy(update={"table": True, **here})


@dataclass(frozen=True)
class ReadTable:
    """A table and the file that it was read from."""

    path: Path
    table: LatencyTable


@dataclass(frozen=True)
class TablePair:
    """How a table compares with the first, over the blocks that both have.

    Attributes:
        shared: Blocks in both.
        ratio: Geometric mean of its latencies over the first's; None without a shared block.
        rank_correlation: Spearman's; None below three shared blocks, or where nothing varies.
    """

    shared: int
    ratio: float | None
    rank_correlation: float | None


def read_tables(paths: Sequence[Path]) -> list[ReadTable]:
    """Read tables.

    Raises:
        InputError: If one cannot be read, or is none of this version.
    """
    return [ReadTable(path, read_table(path)) for path in paths]


def compare_tables(first: LatencyTable, other: LatencyTable) -> TablePair:
    """Compare a table with another, block by block."""
    names = [name for name in first.entries if name in other.entries]
    if not names:
        return TablePair(0, None, None)
    ours = [first.entries[name].value for name in names]
    theirs = [other.entries[name].value for name in names]
    ratio = math.exp(
        math.fsum(math.log(b / a) for a, b in zip(ours, theirs, strict=True)) / len(names)
    )
    varied = len(names) >= _ENOUGH and len({*ours}) > 1 and len({*theirs}) > 1
    rank = float(spearmanr(ours, theirs).statistic) if varied else None
    return TablePair(len(names), ratio, rank)
