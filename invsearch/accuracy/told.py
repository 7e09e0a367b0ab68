"""What sources told of networks, a line each in a file: nothing is asked twice, kill or not."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from invsearch.errors import InputError
from invsearch.runs.files import append_lines, dump_json
from invsearch.runs.lines import read_lines

if TYPE_CHECKING:
    from invsearch.provider import Setting

__all__ = [
    "HINTS",
    "ONCE",
    "SUPERNET",
    "TRAINED",
    "Line",
    "Lines",
    "described",
    "read_told",
    "timed",
]

HINTS, SUPERNET = "hints.jsonl", "supernet"
"""The file in a run's folder, and the folder and the source of that name."""

TRAINED, ONCE = "trained", ""
"""The source that is a stand-alone training; the architecture of what is spent once, for all."""


@dataclass(frozen=True)
class Line:
    """What a source told of a network.

    Attributes:
        architecture: The network, as :attr:`Architecture.key`.
        source: ``trained``, ``supernet`` or a row of :data:`invsearch.plugins.PROXIES`.
        seed: Of it.
        values: By metric, or by the proxy's names; empty where the source could not tell.
        cpu_seconds: Of the process.
    """

    architecture: str
    source: str
    seed: int
    values: Mapping[str, float]
    cpu_seconds: float

    @property
    def key(self) -> tuple[str, str, int]:
        return self.architecture, self.source, self.seed


@dataclass
class Lines:
    """The lines of one space.

    Args:
        path: The file, whose first line says of which space it is; made when missing.
        space: What describes it: lines of another description are refused.

    Attributes:
        known: The lines by network, source and seed.

    Raises:
        InputError: If the file holds lines of another space, or is damaged.
    """

    path: Path
    space: str
    known: dict[tuple[str, str, int], Line] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = read_lines(self.path, dict)
        if not found.records:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")
            append_lines(self.path, dump_json({"space": self.space}))
            return
        if found.records[0].get("space") != self.space:
            raise InputError(
                f"{self.path} is of another space: name another folder with --out, or remove it"
            )
        with self.path.open("r+b") as file:
            file.truncate(found.sound_bytes)
        self.known = {line.key: line for line in read_told(self.path)}

    def ask(
        self, architecture: str, source: str, seed: int, work: Callable[[], Mapping[str, float]]
    ) -> Line:
        """The line that is known, or what the work now tells."""
        known = self.known.get((architecture, source, seed))
        if known is not None:
            return known
        values, seconds = timed(work)
        return self.add(Line(architecture, source, seed, values, seconds))

    def add(self, line: Line) -> Line:
        """Write a line."""
        append_lines(self.path, dump_json(vars(line)))
        self.known[line.key] = line
        return line


def described(setting: Setting) -> str:
    """What a source's word depends on: the networks of a space, and how they are trained.

    Not the search: its budget may grow, and other hints may be asked for.
    """
    assert setting.accuracy is not None
    sampled = [repr(spec) for spec in setting.sampled_specs()]
    own = {"source", "sources", "supernet", "baselines", "dataset", "folder", "device", "stream"}
    about = {
        "dataset": Path(setting.accuracy.dataset).name,  # a run and its data may be moved
        "space": setting.space.to_json(),
        "networks": hashlib.sha256("".join(sampled).encode()).hexdigest(),
        "accuracy": setting.accuracy.model_dump(mode="json", exclude=own),
    }
    return json.dumps(about, sort_keys=True)


def read_told(path: Path) -> list[Line]:
    """The lines of a file; none where it is missing.

    Raises:
        InputError: If it is damaged.
    """
    found = read_lines(path, _parse)
    return [line for line in found.records if line is not None]


def _parse(data: Mapping[str, object]) -> Line | None:
    if set(data) == {"space"}:
        return None
    return Line(**data)  # type: ignore[arg-type]


def timed(work: Callable[[], Mapping[str, float]]) -> tuple[Mapping[str, float], float]:
    """What the work returns, and the CPU seconds it took."""
    begun = time.process_time()
    found = work()
    return found, time.process_time() - begun
