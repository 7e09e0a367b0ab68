"""The places of a space file where latency is timed: the section itself, and each target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invsearch.latency.runtimes import Runtime
from invsearch.latency.target import Target
from invsearch.metrics import MEASURED_ON_TARGETS
from invsearch.plugins import RUNTIMES
from invsearch.space import OnTarget

if TYPE_CHECKING:
    from invsearch.provider import Setting
    from invsearch.runs import RunFolder
    from invsearch.space import Timing

__all__ = ["Place", "places"]


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
