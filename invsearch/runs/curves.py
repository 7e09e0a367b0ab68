"""Curves: what every step of an evaluation brought, as lines of ``curves.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invsearch.metrics import Fidelity
from invsearch.runs.files import append_lines, dump_json
from invsearch.runs.lines import cut_torn_end, read_lines
from invsearch.runs.records import NewerError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CurveLog", "CurvePoint", "curve_frame"]

SCHEMA = 1  # of a line; rises with every change that readers must know of
_SPENT = ("max_epochs", "resolution", "width", "data_fraction")  # of the fidelity, beside the step

Key = tuple[int, int, int]


@dataclass(frozen=True)
class CurvePoint:
    """What one step (an epoch, a report of an evaluator) of one evaluation brought.

    Attributes:
        trial: The trial's number.
        seed: Of the evaluation; a replicate has a curve of its own.
        step: Steps done so far, from 1 (epochs, for training).
        metrics: Values by name, each finite: ``train_loss`` of every epoch of a training, and what
            was taken on the validation set where that was judged.
        seconds: How long the step took; None where nobody measured it.
        fidelity: What had been spent; None where nothing was said of it.
    """

    trial: int
    seed: int
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    fidelity: Fidelity | None = None

    @property
    def key(self) -> Key:
        """What no other point of a run has."""
        return self.trial, self.seed, self.step

    def to_json(self) -> dict[str, Any]:
        finite = {name: float(v) for name, v in self.metrics.items() if math.isfinite(v)}
        return {
            "schema": SCHEMA,
            "trial": self.trial,
            "seed": self.seed,
            "step": self.step,
            "metrics": finite,
            "seconds": self.seconds,
            "fidelity": self.fidelity and self.fidelity.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CurvePoint:
        """Return the point that a decoded line stands for.

        Raises:
            NewerError: If a newer version wrote it.
            ValueError: If it cannot be one; also KeyError, TypeError and AttributeError.
        """
        if not isinstance(data, Mapping):
            raise ValueError("not an object")
        schema = data["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise NewerError(schema)
        for name in ("trial", "seed", "step"):
            if not isinstance(data[name], int) or isinstance(data[name], bool) or data[name] < 0:
                raise ValueError(f"{name} is {data[name]!r}, not a whole number from 0")
        spent = data.get("fidelity")
        return cls(
            data["trial"],
            data["seed"],
            data["step"],
            {name: float(value) for name, value in data["metrics"].items()},
            data.get("seconds"),
            None if spent is None else Fidelity.from_json(spent),
        )


class CurveLog:
    """A run's ``curves.jsonl``; only the driver writes it.

    A step that a kill or a lost worker makes an evaluation take again is on it once, as it was the
    first time.

    Args:
        path: The file; a missing one has no points, as in folders of versions before it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: set[Key] | None = None

    def read(self) -> list[CurvePoint]:
        """Every point in the order of the log; a torn last line is left out.

        Raises:
            InputError: If the log is damaged other than in its last line.
        """
        points = read_lines(self._path, CurvePoint.from_json).records
        return list({point.key: point for point in reversed(points)}.values())[::-1]

    def append(self, points: Iterable[CurvePoint]) -> None:
        """Log the points that are not there; it does not wait for the disk.

        Raises:
            InputError: If the log is damaged other than in its last line.
        """
        # not known again before all is written: an interrupted write has the log read anew
        written, self._written = self._written, None
        if written is None:
            log = read_lines(self._path, CurvePoint.from_json)
            cut_torn_end(self._path, log)
            written = {point.key for point in log.records}
        new = {point.key: point for point in points if point.key not in written}
        if new:
            lines = [dump_json(point.to_json()) for point in new.values()]
            append_lines(self._path, *lines, durable=False)
        written.update(new)
        self._written = written


def curve_frame(points: Sequence[CurvePoint]) -> pd.DataFrame:
    """Return one row per point, by trial, seed and step.

    Returns:
        Columns ``trial, seed, step, seconds, max_epochs, resolution, width, data_fraction``, then
        one per metric in the order of its name; NaN where a step did not bring it.
    """
    import pandas as pd

    rows = sorted(points, key=lambda point: point.key)
    names = sorted({name for point in rows for name in point.metrics})
    columns: dict[str, Any] = {
        name: pd.Series([getattr(point, name) for point in rows], dtype="int64")
        for name in ("trial", "seed", "step")
    }
    columns["seconds"] = pd.Series([point.seconds for point in rows], dtype="float64")
    for name in _SPENT:
        values = [getattr(point.fidelity, name, None) for point in rows]
        columns[name] = pd.Series(values, dtype="float64")
    for name in names:
        values = [point.metrics.get(name) for point in rows]
        columns[name] = pd.Series(values, dtype="float64")
    return pd.DataFrame(columns)
