"""Curves: ``curves.csv`` in the folder of a training, a row for each epoch."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from invsearch.atomic import write_atomic
from invsearch.errors import DiskError
from invsearch.train.callbacks.callback import Callback, EpochRecord, Plan

__all__ = ["CURVES", "Curves"]

CURVES = "curves.csv"


class Curves(Callback):
    """Writes ``epoch, step, lr, train_loss``, the validation metrics, seconds and images a second.

    The whole file is written anew each epoch: a kill leaves the former one, and epochs that are
    trained again replace their rows.
    """

    def on_start(self, plan: Plan) -> None:
        self._path = plan.folder / CURVES
        self._rows = [row for row in _read(self._path) if int(row["epoch"]) <= plan.epoch]

    def on_epoch(self, record: EpochRecord) -> None:
        numbers = {"epoch": record.epoch, "step": record.step, **record.numbers()}
        self._rows.append({name: f"{value:.6g}" for name, value in numbers.items()})
        self._rows[-1].update(epoch=str(record.epoch), step=str(record.step))
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        last = ("seconds", "images_per_second")  # also where a metric came later than the others
        columns = [*(name for name in columns if name not in last), *last]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        try:
            write_atomic(self._path, text.getvalue(), durable=False)
        except OSError as error:
            raise DiskError.of(error, self._path, "written") from error


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of a training that is gone on with."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if (row.get("epoch") or "").isdigit()]
