"""The places of a space file where latency is timed: the section itself, and each target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invsearch.errors import InputError, nearest
from invsearch.latency.runtimes import Runtime
from invsearch.latency.target import Target
from invsearch.metrics import MEASURED_ON_TARGETS
from invsearch.plugins import RUNTIMES
from invsearch.space import Latency, OnTarget

if TYPE_CHECKING:
    from invsearch.provider import Setting
    from invsearch.runs import RunFolder
    from invsearch.space import SpaceFile, Timing

__all__ = ["Place", "place_here", "places"]


@dataclass(frozen=True)
class Place:
    """A section of the space file, and what is wanted of it.

    Attributes:
        key: How the file names it: ``latency``, ``latency.targets.a100``.
        suffix: Of its metrics' names: empty, or ``@a100``.
        section: What it says.
        wanted: The metrics that are asked of it, without the suffix.
    """

    key: str
    suffix: str
    section: Timing
    wanted: tuple[str, ...]

    @property
    def target(self) -> Target:
        """Where and how it times; measurements on targets are undisturbed unless it is waived."""
        return Target.of(self.section, undisturbed=bool(self.suffix))

    @property
    def resource(self) -> str | None:
        """Of the Ray node that has the device; None for the driver's machine."""
        return self.section.resource if isinstance(self.section, OnTarget) else None

    @property
    def latency(self) -> str:
        """The name of its latency."""
        return f"latency_ms{self.suffix}"

    def images(self, resolution: int) -> tuple[int, int, int]:
        """(B, H, W) of the images that are timed, where the model's have that side."""
        side = self.section.resolution or resolution
        return self.section.batch_size, side, side

    def table_path(self, folder: RunFolder) -> Path:
        """Where a run keeps its table: ``latency_table.json``, ``latency_table@a100.json``."""
        path = folder.latency_table_path
        return path.with_name(f"{path.stem}{self.suffix}{path.suffix}")

    def problem(self) -> str | None:
        """Why it cannot be timed here as it is asked; None if it can."""
        if isinstance(self.section.table, str):
            others = sorted({*self.wanted} - {"latency_ms"})
            return f"the file of a table tells latency, not {', '.join(others)}" if others else None
        if self.resource is not None:
            if self.section.table:
                return "blocks are measured on the driver's machine: measure the table on the node"
            return None  # the node that measures says what is missing there
        target = self.target
        runtime = RUNTIMES.get(target.runtime, Runtime)
        if self.section.table and not runtime.parts:
            return f"runtime {target.runtime!r} cannot time blocks alone: leave out table"
        if "energy_mj" in self.wanted and target.device == "cpu":
            return "a CPU has no energy meter that tells one process's share: ask a GPU"
        return runtime.problem(target.device, target.dtype)


def places(setting: Setting) -> Iterator[Place]:
    """The sections of which something is asked."""
    section = setting.latency
    if section is None:
        return
    if "latency_ms" in setting.wanted:
        yield Place("latency", "", section, ("latency_ms",))
    for name, target in section.targets.items():
        wanted = tuple(base for base in MEASURED_ON_TARGETS if f"{base}@{name}" in setting.wanted)
        if wanted:
            yield Place(f"latency.targets.{name}", f"@{name}", target, wanted)


def place_here(space_file: SpaceFile, target: str | None, *, table: bool) -> Place:
    """The section that a command asks for, to be timed on the machine that it is given on.

    Args:
        space_file: What says how.
        target: One of ``latency.targets``; None for the section itself, or the only target.
        table: Whether a table of blocks is measured; the file's own may be what is to be made.

    Raises:
        InputError: If there is no such target, or none is named and there are several.
    """
    section = space_file.latency or Latency()
    names, plain = section.targets, "latency_ms"
    if target is None and names and plain not in {*space_file.objectives, *space_file.constraints}:
        if len(names) > 1:
            raise InputError(f"{space_file.path} has several latency.targets: {_choose(names)}")
        target = next(iter(names))
    if target is not None and target not in names:
        there = f"; there are: {', '.join(names)}" if names else ""
        raise InputError(
            f"--target {target!r} is none of latency.targets{nearest(target, names)}{there}"
        )
    key, suffix = (f"latency.targets.{target}", f"@{target}") if target else ("latency", "")
    chosen = names[target] if target else section
    here = {"table": table, **({"resource": None} if isinstance(chosen, OnTarget) else {})}
    return Place(key, suffix, chosen.model_copy(update=here), (plain,))


def _choose(names: Iterable[str]) -> str:
    return "say " + " or ".join(f"--target {name}" for name in names)
