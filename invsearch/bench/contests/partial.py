"""Partial: what a comparison of strategies has found so far, in a file that a kill leaves whole."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from invsearch.bench.contests.standing import Standing
from invsearch.errors import InputError
from invsearch.runs.files import dump_json, write_atomic

__all__ = ["Partial"]


class Partial:
    """The standings of a comparison that is not done, in a file: after a kill it goes on there.

    Args:
        path: The file; None keeps nothing.
        comparison: What is compared and how, as plain data; ``seeds`` among it.

    Raises:
        InputError: If the file is of another comparison, or damaged.
        DiskError: If it cannot be written.
    """

    def __init__(self, path: Path | None, comparison: dict[str, Any]) -> None:
        self._path, self._comparison = path, json.loads(json.dumps(comparison))
        self.standings: list[Standing] = []
        if path is None:
            return
        if not path.exists():
            self._begin(path)
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            same, found = kept["comparison"] == self._comparison, kept["standings"]
            if same:
                self.standings = [_restored(one, comparison["seeds"]) for one in found]
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged ({error}): remove it to begin anew") from error
        if not same and found:
            raise InputError(f"{path} is of another comparison: finish that one, or remove it")
        if not same:
            self._begin(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """After an error too: what has found nothing leaves nothing behind."""
        if kind is not None and not self.standings:
            self.done()

    def _begin(self, path: Path) -> None:
        """Write it at once: where it cannot be is not to be found out after hours."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write()

    def add(self, standing: Standing) -> None:
        """Keep one more."""
        self.standings.append(standing)
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            kept = [asdict(one) for one in self.standings]
            document = {"comparison": self._comparison, "standings": kept}
            write_atomic(self._path, dump_json(document) + "\n")

    def done(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _restored(data: dict[str, Any], seeds: int) -> Standing:
    curves = {key: tuple(map(tuple, data[key])) for key in ("shares", "nadir_shares")}
    every = [curve for both in curves.values() for curve in both]
    if len(every) != 2 * seeds or len({len(curve) for curve in every}) != 1 or not every[0]:
        raise ValueError(f"{data['contest']}: there is not a curve for each of {seeds} seeds")
    if not all(math.isfinite(share) for curve in every for share in curve):
        raise ValueError(f"{data['contest']}: a share is no number")
    return Standing(data["contest"], data["strategy"], ask_ms=tuple(data["ask_ms"]), **curves)
